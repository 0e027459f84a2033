"""How ``make test`` shares its tests out: what they have in common is made by one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """import os
import pytest

@pytest.mark.parametrize("number", range(4))
def test(number):
    open(os.environ["PYTEST_XDIST_WORKER"], "a").write(f"{__file__}\\n")
"""


@pytest.mark.slow
def test_a_file_and_a_folder_whose_tests_share_what_takes_long_go_to_one_process(tmp_path: Path) -> None:
    (flags,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("PROCESSES"))
    names = ["analysis/test_a", "analysis/test_b", "credit/test_c", "credit/test_d", "test_e", "train/test_f"]
    for name in names:
        (tmp_path / f"tests/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"tests/{name}.py").write_text(TESTS)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    command = [*(sys.executable, "-m", "pytest"), *flags.partition(":=")[2].replace("$(WORKERS)", "2").split(), "tests"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    found = [set(path.read_text().splitlines()) for path in tmp_path.glob("gw*")]
    assert len(found) == 2
    assert found[0].isdisjoint(found[1])
    of_folder = [{file for file in files if "/analysis/" in file} for files in found]
    assert sorted(map(len, of_folder)) == [0, 2]
