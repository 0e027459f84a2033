"""What is installed by `pip install` is whole: files of the package that are no Python are in the wheel."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from setuptools import build_meta

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "workflow/tokencredit", tmp_path / "workflow/tokencredit", ignore=ignored)
    package = tmp_path / "workflow"
    expected = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    before = Path.cwd()
    os.chdir(tmp_path)  # setuptools builds what stands where it is called
    try:
        wheel = build_meta.build_wheel(str(tmp_path))
    finally:
        os.chdir(before)
    held = {name for name in zipfile.ZipFile(tmp_path / wheel).namelist() if ".dist-info/" not in name}
    assert held == expected
    assert "tokencredit/analysis/page/page.html.j2" in held
