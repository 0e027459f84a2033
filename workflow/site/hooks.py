"""What mkdocs does not do by itself: pages of the repository outside docs/, and links as GitHub resolves them, each checked."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
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
    """Add the pages outside docs/."""
    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


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
