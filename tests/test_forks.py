"""Commands that split off a process behave as those of Python itself: what they are told, say, leave and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import forks

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Python itself runs all commands"),
]

TELLS = """\
import atexit, os, sys
atexit.register(print, "at its end")
print(sys.argv[1:], os.getcwd(), os.environ.get("COLOUR"), sys.stdin.read(), __name__)
print("to the other stream", file=sys.stderr)
"""
WAITS = """\
import os, pathlib, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
pathlib.Path("process").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a package of the name that servers know."""
    return named(tmp_path)


def named(folder: Path) -> Path:
    (folder / "tokencredit").mkdir(parents=True, exist_ok=True)
    (folder / "tokencredit/__init__.py").touch()
    return folder


def write(folder: Path, text: str, module: str = "__main__") -> None:
    (folder / f"tokencredit/{module}.py").write_text(text)


def started(python: str, folder: Path, module: str = "tokencredit", **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), **more}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([python, "-m", module, "a b", "c"], cwd=folder, env=environment, text=True, **pipes)


def said(python: str, folder: Path, module: str = "tokencredit", **more: str) -> tuple[str, str, int]:
    process = started(python, folder, module, **more)
    return (*process.communicate("from a pipe"), process.returncode)


@pytest.mark.parametrize("module", ["tokencredit", "tokencredit.train"])
@pytest.mark.parametrize(
    "end", ["", "sys.exit(3)", "sys.exit('a sentence')", "1 / 0", "os.kill(os.getpid(), 9)", "os._exit(4)"]
)
def test_it_is_told_says_and_ends_as_python(end: str, module: str, folder: Path) -> None:
    for name in ("__main__", "train"):
        write(folder, TELLS + end + "\n", name)
    ours, pythons = (said(python, folder, module, COLOUR="red") for python in (forks.python(), sys.executable))
    assert (ours[0], ours[2]) == (pythons[0], pythons[2])
    assert ours[1].splitlines()[:1] == pythons[1].splitlines()[:1] == ["to the other stream"]
    assert ours[1].splitlines()[-1] == pythons[1].splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_comes_through(number: int, folder: Path) -> None:
    write(folder, WAITS)
    process = started(forks.python(), folder)
    place = folder / "process"
    until(lambda: place.exists() and place.read_text())
    process.send_signal(number)
    process.communicate()
    assert process.returncode == (7 if number == signal.SIGUSR1 else -number)
    until(lambda: not Path("/proc", place.read_text()).exists())


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_takes_nothing_from_another_command(folder: Path) -> None:
    """Neither the package of another folder, nor what was set there, nor a state of chance."""
    text = "import numpy, sys, tokencredit\nprint(tokencredit.__path__, sys.path[0], numpy.random.random())\n"
    told = []
    for name in ("one", "two", "two"):
        place = named(folder / name)
        write(place, text)
        told.append(said(forks.python(), place)[0])
        assert str([str(place / "tokencredit")]) in told[-1]
    assert len(set(told)) == 3


def test_tables_are_made_without_a_models_libraries_and_what_blocks_them_counts(folder: Path) -> None:
    write(folder, "import sys\nprint({'torch', 'transformers'} & {*sys.modules})\nimport absent\n")
    (folder / "sitecustomize.py").write_text("import sys, types\nsys.modules['absent'] = types.ModuleType('absent')\n")
    assert said(forks.python(), folder) == ("set()\n", "", 0)


def test_what_libraries_settled_at_import_takes_a_python_of_its_own(folder: Path) -> None:
    write(folder, "import sys\nprint('pandas' in sys.modules)\n")
    assert said(forks.python(), folder)[0] == "True\n"
    assert said(forks.python(), folder, HF_HOME="elsewhere")[0] == "False\n"
