"""Each conda environment resolved for Linux with GPUs, as far as the registries that can be reached allow; nothing is installed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.project import ROOT
from tests.workflow.test_environments import ENVIRONMENTS, pins_of, pip_part

if not os.environ.get("TOKENCREDIT_RESOLVE"):
    pytest.skip("resolving asks a package index: make test-envs does it", allow_module_level=True)

# The oldest Linux (its C library) for which every package has a wheel.
LINUX = {"vllm": "x86_64-manylinux_2_31"}
OTHERS = "x86_64-manylinux_2_28"


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_the_pip_part_resolves_to_itself(path: Path, tmp_path: Path) -> None:
    """Every pinned version has a wheel there, all of them go together, and nothing that they need is left unpinned."""
    wanted = tmp_path / "wanted.in"
    wanted.write_text("\n".join(pip_part(path)), encoding="utf-8")
    target = ["--python-platform", LINUX.get(path.stem, OTHERS), "--python-version", "3.11", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", *target]
    done = subprocess.run([*command, str(wanted)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pins_of(done.stdout) == pins_of(wanted.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_the_conda_part_is_solved(path: Path) -> None:
    from rattler import Channel, MatchSpec, solve
    from rattler.exceptions import GatewayError

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = [line for line in content["dependencies"] if isinstance(line, str)]
    assert [MatchSpec(line, strict=True).name.normalized for line in lines] == ["python", "pip"]
    channels = [Channel(name) for name in content["channels"] if name != "nodefaults"]
    try:
        records = asyncio.run(solve(channels, lines, platforms=["linux-64", "noarch"]))
    except GatewayError:
        pytest.skip(
            f"{path.relative_to(ROOT)}: NOT CHECKED whether conda-forge has {', '.join(lines)}: it cannot be reached from here"
        )
    assert {"python", "pip"} <= {record.name.normalized for record in records}
