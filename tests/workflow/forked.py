"""``python -m`` in a process that splits off one which has imported Snakemake and pandas: most of a start is that import."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
# Nothing of this project: each process takes the package of the folder that it runs in.
_FORKS.set_forkserver_preload(["pytest", "snakemake.cli", "pandas", "pyarrow.parquet", "pydantic", "typer"])


def run_module(
    name: str, arguments: tuple[str, ...], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a module in a folder, in this environment; both streams come back as one text in ``stdout``."""
    with tempfile.NamedTemporaryFile() as said:
        process = _FORKS.Process(target=_run, args=(name, arguments, folder, environment, said.name))
        process.start()
        process.join()
        text = Path(said.name).read_text(encoding="utf-8")
    return subprocess.CompletedProcess([name, *arguments], process.exitcode, text)


def _run(name: str, arguments: tuple[str, ...], folder: Path, environment: dict[str, str], said: str) -> None:
    """What Python does before ``-m``; what was imported to get here is forgotten."""
    streams = os.open(said, os.O_WRONLY | os.O_APPEND)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(streams, number)
        setattr(sys, stream, os.fdopen(number, "w", buffering=1, encoding="utf-8"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    sys.path[:] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *installed]
    for module in [module for module in sys.modules if module.partition(".")[0] == "tests"]:
        del sys.modules[module]
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
