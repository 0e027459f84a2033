"""The commit that is written beside tables and figures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tokencredit.checkout import checkout

NOBODY = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *NOBODY, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit, and in it a folder that is tracked and one that is ignored."""
    git(tmp_path, "init", "--quiet")
    for name in ("package/code.py", "ignored/code.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("ignored/\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_the_commit_as_it_was_committed(project: Path) -> None:
    assert checkout(project / "package") == {"commit": git(project, "rev-parse", "HEAD"), "modified": False}


@pytest.mark.parametrize("name", ["package/code.py", "new.py"])
def test_an_edited_or_a_new_file_is_a_change(project: Path, name: str) -> None:
    (project / name).write_text("2\n", encoding="utf-8")
    assert checkout(project / "package")["modified"] is True


def test_a_package_in_an_ignored_folder_is_of_no_commit(project: Path) -> None:
    assert checkout(project / "ignored") == {"commit": None, "modified": None}


def test_outside_of_a_repository_or_without_git_there_is_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkout(tmp_path / "nowhere") == {"commit": None, "modified": None}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout(tmp_path) == {"commit": None, "modified": None}
