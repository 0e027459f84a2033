"""The commit that is written beside tables and figures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tokencredit.analysis.commit import checkout

PACKAGE = "workflow/package"
NOBODY = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *NOBODY, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit, and in it a package that is tracked and a folder that is ignored."""
    git(tmp_path, "init", "--quiet")
    for name in (PACKAGE + "/code.py", "config/study.yaml", "docs/text.md", "ignored/code.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("ignored/\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_the_commit_as_it_was_committed(project: Path) -> None:
    assert checkout(project / PACKAGE) == {"commit": git(project, "rev-parse", "HEAD"), "modified": False}


@pytest.mark.parametrize(
    ("name", "modified"),
    [
        (f"{PACKAGE}/code.py", True),
        ("config/study.yaml", True),
        ("docs/text.md", False),
        ("config/own.yaml", False),
        ("regraded/x.csv", False),
    ],
)
def test_an_edit_of_what_decides_a_result_is_a_change(project: Path, name: str, modified: bool) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("2\n", encoding="utf-8")
    assert checkout(project / PACKAGE)["modified"] is modified


def test_a_package_in_an_ignored_folder_is_of_no_commit(project: Path) -> None:
    assert checkout(project / "ignored") == {"commit": None, "modified": None}


def test_outside_of_a_repository_or_without_git_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout(tmp_path / "nowhere") == {"commit": None, "modified": None}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout(tmp_path) == {"commit": None, "modified": None}
