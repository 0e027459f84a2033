"""What the numbers of a benchmark belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from tokencredit.provenance import environment


def machine(device: str = "cpu", *packages: str) -> dict[str, str | int]:
    """The commit that is measured and whether files differ from it, processor, device, and versions, those of ``packages`` too."""
    commit = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return {
        "commit": subprocess.check_output(commit, text=True, cwd=Path(__file__).parent).strip(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        **environment(device),
        **{name: metadata.version(name) for name in packages},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
