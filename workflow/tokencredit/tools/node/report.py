"""What ``tokencredit check-gpu`` does: every check, then the benchmarks; a table, and a file for ``tokencredit plan``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokencredit import cli
from tokencredit.engines import ENGINES
from tokencredit.files import read_json, write_json
from tokencredit.study import code
from tokencredit.tools.node import speed
from tokencredit.tools.node.checks import CHECKS
from tokencredit.tools.node.commands import run

_SECONDS = 300  # that a check may take before it counts as hanging
_COLOURS = {"passed": "green", "failed": "red", "left out": "yellow"}


def check_node(config: Path, out: Path | None, minutes: float, with_speed: bool) -> bool:
    """Check this node, print what was found and write it to ``out``; whether no check failed."""
    started, console = time.monotonic(), Console(width=None if Console().is_terminal else 150)
    here = _machine()
    on_gpu = here["device"] == "cuda"
    console.print(_title(here), markup=False, style="bold")
    with tempfile.TemporaryDirectory(prefix="tokencredit-node-") as folder, console.status("") as status:
        checks = []
        for place, name in enumerate(CHECKS):
            status.update(name)
            checks.append(_checked(name, config, Path(folder, str(place))))
        console.print(_checks_table(checks))
        speeds: list[dict[str, Any]] = []
        if with_speed:
            until, chosen = started + 60 * minutes, speed.benchmarks(on_gpu)
            speeds = list(speed.measured(chosen, Path(folder), until, status.update))
            speeds += [] if on_gpu else [_without_gpu(model) for model in speed.MODELS]
    if speeds:
        console.print(_speeds_table(speeds))
    out = out or Path("results/nodes") / f"{here['node']}.json"
    digests = {f"training with {engine}": code.training(engine, "grpo") for engine in ENGINES}
    record = {"machine": here, "digests": digests, "checks": checks, "speeds": speeds}
    write_json(out, {**record, "seconds": time.monotonic() - started})
    failed = [check["name"] for check in checks if check["outcome"] == "failed"]
    if failed:
        console.print(f"This node computes wrong numbers: {', '.join(failed)}.", style="red")
    cli.made([out])
    return not failed


def _machine() -> dict[str, Any]:
    """In a process of its own, so that this one holds nothing of a GPU."""
    module = [sys.executable, "-m", "tokencredit.tools.node.machine"]
    return json.loads(subprocess.run(module, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _checked(name: str, config: Path, folder: Path) -> dict[str, Any]:
    started, log = time.monotonic(), folder / "log"
    module = [sys.executable, "-m", "tokencredit.tools.node.checks", name, str(config), str(folder)]
    trouble = run(module, log, _SECONDS)
    found = {"outcome": "failed", "told": trouble} if trouble else read_json(folder / "found.json")
    return {"name": name, **found, "seconds": time.monotonic() - started}


def _without_gpu(model: str) -> dict[str, Any]:
    return {"what": "all", "whom": "all", "model": model, "left_out": "takes a GPU"}


def _title(here: dict[str, Any]) -> str:
    gpus = f"{len(here['gpus'])} x {here['gpu']}" if "gpus" in here else "no GPU, so the CPU is checked"
    return f"{here['node']}: {gpus}; {here['processor']}; torch {here['torch']}, commit {here['commit']}"


def _checks_table(checks: list[dict[str, Any]]) -> Table:
    table = Table("check", "", "found", "s", title="Are the numbers right?", title_justify="left")
    for check in checks:
        outcome = f"[{_COLOURS[check['outcome']]}]{check['outcome']}[/]"
        table.add_row(check["name"], outcome, escape(check["told"]), f"{check['seconds']:.0f}")
    return table


def _speeds_table(speeds: list[dict[str, Any]]) -> Table:
    columns = ("benchmark", "of", "model", "seconds", "tokens/s", "peak, GiB")
    table = Table(*columns, title="How fast, with random weights?", title_justify="left")
    for each in speeds:
        names = (each["what"], each["whom"], each["model"])
        if "left_out" in each:
            table.add_row(*names, escape(f"left out: {each['left_out']}"))
            continue
        seconds, peak = each["seconds"], each["peak_bytes"]
        if "architecture" in each and each["architecture"]["layers"] < each["layers_of_model"]:
            names = (
                *names[:2],
                f"{each['model']}, {each['architecture']['layers']} of {each['layers_of_model']} layers",
            )
        tokens = each["responses"] * each["response_tokens"] if "responses" in each else each["tokens"]
        table.add_row(
            *names,
            ", ".join(f"{phase} {spent:.2f}" for phase, spent in seconds.items()),
            f"{tokens / seconds.get('total', sum(seconds.values())):,.0f}",
            f"{peak / 2**30:.1f}" if peak else "",
        )
    return table
