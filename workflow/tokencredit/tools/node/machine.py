"""What measured numbers belong to: ``python -m tokencredit.tools.node.machine`` prints it as JSON."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokencredit.provenance import environment


def machine(device: str = "cpu", *packages: str) -> dict[str, Any]:
    """The commit that is measured and whether files differ from it, processor, device, and versions, those of ``packages`` too.

    ``device`` "cuda": the visible GPUs as well, with the memory of the first in GiB, and the CUDA that PyTorch was built for.
    """
    return {
        "commit": _commit(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        **environment(device),
        **{name: metadata.version(name) for name in packages},
        **(_gpus() if device == "cuda" else {}),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.check_output(command, text=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return "no git repository"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _gpus() -> dict[str, Any]:
    import torch

    each = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return {
        "gpu": each[0].name,
        "gpus": [gpu.name for gpu in each],
        "memory_gib": each[0].total_memory / 2**30,
        "cuda": torch.version.cuda,
    }


if __name__ == "__main__":
    import torch

    peers = ["trl"] if find_spec("trl") else []
    found = machine("cuda" if torch.cuda.is_available() else "cpu", *peers)
    print(json.dumps({"node": socket.gethostname(), **found}))
