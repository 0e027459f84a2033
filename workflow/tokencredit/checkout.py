"""The commit that a file was made at, for a person who looks for the code; what runs again is decided by ``provenance.code_digest``."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tokencredit.provenance import PACKAGE


@cache
def checkout(folder: Path = PACKAGE) -> dict[str, Any]:
    """``commit`` of the Git repository that tracks ``folder``, and whether any of its files differs from it (``modified``).

    Both are None where ``folder`` is not tracked, as an installed package is not, and where there is no Git. Asked once per process.
    """
    commit = _git(folder, "rev-parse", "HEAD") if _git(folder, "ls-files", "--error-unmatch", ".") else None
    return {"commit": commit, "modified": bool(_git(folder, "status", "--porcelain")) if commit else None}


def _git(folder: Path, *arguments: str) -> str | None:
    """What Git says; None where it refuses or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
