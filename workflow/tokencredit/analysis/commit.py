"""The commit at which a file was made, for a person who looks for the code. It does not decide what runs again."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tokencredit.provenance import PACKAGE

DECIDES = ("workflow", "config", "Snakefile")


@cache
def checkout(folder: Path = PACKAGE) -> dict[str, Any]:
    """``commit`` of the Git repository that tracks ``folder``, and whether a file that decides a result differs from it (``modified``).

    ``folder`` is the package, two folders below the project. What the repository does not track is no change of it: a study of one's own.
    Both are None where ``folder`` is not tracked, as an installed package is not, and where there is no Git. Asked once per process.
    """
    commit = _git(folder, "rev-parse", "HEAD") if _git(folder, "ls-files", "--error-unmatch", ".") else None
    asked = ("status", "--porcelain", "--untracked-files=no", "--", *DECIDES)
    return {"commit": commit, "modified": bool(_git(folder.parents[1], *asked)) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    """What Git says; None where it refuses or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
