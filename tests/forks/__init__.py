"""Commands in processes that split off one which has imported what takes long: most of a small job of the workflow is its imports."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.forks.client import SETTLED

_HERE = Path(__file__).parent
# What each server imports when it is first asked. Nothing of this project: a command takes the package of the folder that it runs in.
# Nothing of a model's libraries for tables, which have to be made without them.
_IMPORTED = {
    "tables": ("snakemake.cli", "pyarrow.parquet", "pydantic", "typer", "seaborn", "scipy.stats"),
    "models": (
        *("pyarrow.parquet", "pydantic", "typer", "torch", "transformers.modeling_utils"),
        *("transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto"),
    ),
}


@functools.cache
def python() -> str:
    """A program that stands for Python: ``sys.executable`` of Snakemake, whose jobs find it too.

    What a server knows runs as a process of its own as ever, with its own arguments, folder, environment, streams, signals and status.
    Python itself runs everything else, and all of it where this is not Linux: what was imported may not outlive a split there.
    """
    if sys.platform != "linux":
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="tokencredit-forks-"))
    atexit.register(shutil.rmtree, folder)
    settled = {name: os.environ.get(name) for name in SETTLED}
    (folder / "settled.json").write_text(json.dumps(settled), encoding="utf-8")
    client = shlex.join([sys.executable, "-IS", str(_HERE / "client.py"), sys.executable, str(folder)])
    # A folder of programs as that of the environment, which Snakemake puts on its jobs' path.
    program = folder / "bin/python"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {client} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (program.parent / "python3").symlink_to(program)
    for other in Path(sys.executable).parent.iterdir():
        if not (program.parent / other.name).exists():
            (program.parent / other.name).symlink_to(other)
    for name, modules in _IMPORTED.items():
        command = [*map(str, (sys.executable, "-P", _HERE / "server.py", folder / name, program)), *modules]
        server = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert server.stdin
        atexit.register(server.stdin.close)  # by which it ends
    return str(program)
