"""What a person sees of `make` when a job of a study fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAKEMAKE = """#!/bin/sh
case "$*" in
    "status --config study=smoke") echo "failed train grpo/seed0: error: no space left (results/logs/train/smoke/grpo/seed0.log)" ;;
    *) exit 1 ;;
esac
"""


def test_a_study_that_fails_says_why(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("envs/requirements.txt", "pyproject.toml", ".venv/bin/python", ".venv/bin/snakemake", ".venv/runtime"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin/snakemake").write_text(SNAKEMAKE, encoding="utf-8")
    (tmp_path / ".venv/bin/snakemake").chmod(0o755)
    done = subprocess.run(["make", "smoke"], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode != 0
    assert "failed train grpo/seed0: error: no space left" in done.stdout
