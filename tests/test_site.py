"""The documentation as a site: it builds without a warning, and a link that leads nowhere on GitHub leads nowhere here either."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tokencredit import files

ROOT = Path(__file__).parents[1]
pytest.importorskip("mkdocs")

SPEC = importlib.util.spec_from_file_location("hooks", ROOT / "workflow/site/hooks.py")
hooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hooks)


@pytest.mark.slow
def test_the_site_builds_with_every_page_and_no_broken_link(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--config-file",
        "workflow/site/mkdocs.yml",
        "--site-dir",
        str(tmp_path),
    ]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {
        Path(place).stem for place in hooks.OUTSIDE.values()
    }
    assert pages <= {path.stem for path in tmp_path.glob("*.html")}
    text = (tmp_path / "methods.html").read_text(encoding="utf-8")
    assert 'class="arithmatex"' in text  # equations are set, not printed
    assert "tokencredit bundle crate" in (tmp_path / "commands.html").read_text(encoding="utf-8")
    assert 'class="mermaid"' in (tmp_path / "architecture.html").read_text(encoding="utf-8")


def test_every_page_of_docs_is_in_the_navigation() -> None:
    navigation = (ROOT / "workflow/site/mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for path in (ROOT / "docs").glob("*.md"):
        assert f": {path.name}\n" in navigation, path.name


@pytest.mark.parametrize(
    ("here", "text", "expected"),
    [
        ("docs/index.md", "[x](../README.md#layout)", "[x](readme.md#layout)"),
        ("docs/index.md", "[x](models.md)", "[x](models.md)"),
        ("README.md", "![x](docs/images/figure2.png)", "![x](images/figure2.png)"),
        ("config/README.md", "see [x](../docs/models.md#y), [z](#w)", "see [x](models.md#y), [z](#w)"),
        ("README.md", "[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("README.md", "    [x](nowhere.md)", "    [x](nowhere.md)"),
        ("README.md", "```\n[x](nowhere.md)\n```", "```\n[x](nowhere.md)\n```"),
    ],
)
def test_a_link_leads_where_it_leads_on_github(here: str, text: str, expected: str) -> None:
    assert hooks.linked(text, here) == f"{expected}\n"


def test_a_link_to_code_leads_to_the_repository_where_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    link = "[signals](../workflow/tokencredit/credit/signals.py)"
    assert hooks.linked(link, "docs/index.md") == "signals\n"
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/tokencredit")
    url = "https://github.com/someone/tokencredit/tree/main/workflow/tokencredit/credit/signals.py"
    assert hooks.linked(link, "docs/index.md") == f"[signals]({url})\n"


def test_a_link_that_leads_nowhere_is_named() -> None:
    with pytest.raises(
        Exception, match=r"docs/index\.md: the link to nowhere\.md leads nowhere: there is no docs/nowhere\.md"
    ):
        hooks.linked("[x](nowhere.md)", "docs/index.md")


def test_the_pages_of_studies_and_their_list_are_on_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have one, below one folder, as the list's links name them."""
    monkeypatch.setattr(hooks, "RESULTS", tmp_path / "results")
    config, nav = SimpleNamespace(site_dir=str(tmp_path / "site")), SimpleNamespace(items=[])
    hooks.on_nav(nav, config, None)
    assert nav.items == []
    for name in ("smoke/index.html", "site/index.html", "index.html"):
        files.write_text(tmp_path / "results" / name, name)
    hooks.on_nav(nav, config, None)
    assert [item.url for item in nav.items] == ["studies/index.html"]
    hooks.on_post_build(config)
    copied = {path.relative_to(tmp_path / "site/studies").as_posix() for path in tmp_path.glob("site/**/*.html")}
    assert copied == {"index.html", "smoke/index.html"}
