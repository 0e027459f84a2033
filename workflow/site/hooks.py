"""What mkdocs does not do by itself: pages of the repository outside docs/, a page of all commands, the pages of the studies that were run
here, and links as GitHub resolves them, each checked.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Link, Navigation
from mkdocs.structure.pages import Page
from typer.core import TyperCommand, TyperGroup

from tokencredit.__main__ import app

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
WIDTH = 100  # columns of what a command says
# Pages outside docs/, with their place on the site.
OUTSIDE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "config/README.md": "configuration.md",
    "config/targets/README.md": "targets.md",
    "results/README.md": "files.md",
}
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\])\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and that of the commands."""
    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Add the list of studies, where some were run or made again from their records."""
    if studies():
        nav.items.append(Link("Studies", "studies/index.html"))
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """Copy the pages of studies, and their list."""
    for page in studies():
        place = Path(config.site_dir, "studies", page.relative_to(RESULTS))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, place)


def commands() -> str:
    """The page of all commands: what each says of itself with ``--help``."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="tokencredit", terminal_width=WIDTH)
    return "\n".join(["# Commands", *_helped(command, context)])


def studies() -> list[Path]:
    """The list of studies and the page of each; none where none has a page."""
    names = [path.stem for path in sorted((ROOT / "config/studies").glob("*.yaml"))]
    pages = [page for name in names if (page := RESULTS / name / "index.html").is_file()]
    return [RESULTS / "index.html", *pages] if pages else []


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let each link lead to where it leads on GitHub. Raises ``PluginError`` for one that leads nowhere."""
    here = {place: path for path, place in OUTSIDE.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return linked(markdown, here)


def linked(markdown: str, here: str) -> str:
    """The text of the page ``here``, a path of the repository, with links as the site has them; code blocks stay as they are."""
    lines, fenced = [], False
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        code = fenced or line.startswith("    ")
        lines.append(line if code else _LINK.sub(lambda found: _moved(found, here), line))
    return "\n".join(lines) + "\n"


def _helped(command: TyperCommand | TyperGroup, context: typer.Context) -> Iterator[str]:
    """A section for a command, and for each of its own."""
    yield f"\n## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    for name in command.list_commands(context) if isinstance(command, TyperGroup) else ():
        own = command.get_command(context, name)
        yield from _helped(own, typer.Context(own, info_name=name, parent=context, terminal_width=WIDTH))


def _moved(found: re.Match[str], here: str) -> str:
    text, link = found.groups()
    text = text[:1] + _LINK.sub(lambda inner: _moved(inner, here), text[1:])  # a picture that is a link
    if re.match(r"[a-z]+:|#", link):
        return f"{text}({link})"
    path, mark, anchor = link.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    if not (ROOT / target).exists():
        raise PluginError(f"{here}: the link to {link} leads nowhere: there is no {target}.")
    if target in OUTSIDE:
        return f"{text}({_from(here, OUTSIDE[target])}{mark}{anchor})"
    if target.startswith("docs/") and (ROOT / target).is_file():
        return f"{text}({_from(here, target.removeprefix('docs/'))}{mark}{anchor})"
    repository = os.environ.get("GITHUB_REPOSITORY")
    return f"{text}(https://github.com/{repository}/tree/main/{target})" if repository else text.strip("[]")


def _from(here: str, place: str) -> str:
    """``place`` on the site as a page of the site names it."""
    own = OUTSIDE.get(here, here.removeprefix("docs/"))
    return posixpath.relpath(place, posixpath.dirname(own) or ".")
