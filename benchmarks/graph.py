"""How long the graph takes to be planned: seconds of a Snakemake dry run against its number of jobs.

``python benchmarks/graph.py`` dry-runs every study of the configuration, and copies of one with more methods and seeds until they have a
given number of jobs. Each dry run is a new process in a copy of the project without results, so that every job is to be run. Prints the
seconds and writes them as JSON.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from machine import machine
from rich.console import Console
from rich.table import Table

from tokencredit.config import Config, read_yaml

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "config", "envs", "profiles", "slurm", "workflow")
LIMIT_JOBS, LIMIT_SECONDS = 1000, 10.0


@dataclass(frozen=True)
class DryRun:
    """The dry runs of one study. ``seconds`` and ``cpu_seconds``: medians of wall time and of processor time."""

    study: str
    jobs: int
    seconds: float
    cpu_seconds: float
    seconds_of_runs: list[float]


def main(
    sizes: Annotated[list[int], typer.Option(help="Numbers of jobs to reach, at least.")] = [100, 300, 1000, 3000],  # noqa: B006
    base: Annotated[str, typer.Option(help="The study that is copied with more methods and seeds.")] = "toy-methods",
    repeats: Annotated[int, typer.Option(help="Dry runs of each study; the median counts.")] = 3,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/graph.json"),
) -> None:
    """Time dry runs of the project's studies and of larger ones."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder))
        studies = Config(project / "config").study_names
        found = [dry_run(project, study, repeats) for study in [*studies, *enlarged(project, base, sizes)]]
    record = {
        "studies": [asdict(run) for run in found],
        "base": base,
        "limit": {"jobs": LIMIT_JOBS, "seconds": LIMIT_SECONDS},
        "load_before": load,
        "machine": machine("cpu"),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(found)
    print(f"made {out}")


def copy_project(folder: Path) -> Path:
    """What Snakemake reads of the project, without results."""
    for name in PARTS:
        source = ROOT / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, folder / name)
    return folder


def enlarged(project: Path, base: str, sizes: list[int]) -> list[str]:
    """Write copies of ``base`` with as many runs as each number of jobs takes; their names."""
    content: dict[str, Any] = read_yaml(project / f"config/studies/{base}.yaml")
    methods = content["training"]["methods"]
    jobs_of_run = 2 + 2 * len(
        content["evaluation"]["benchmarks"]
    )  # training and scores; answers and grades of each benchmark
    names = []
    for size in sizes:
        seeds = math.ceil(size / jobs_of_run / len(methods))
        kept = methods[: math.ceil(size / jobs_of_run / seeds)]
        training = content["training"] | {"methods": kept, "seeds": list(range(seeds))}
        names.append(f"{base}-{size}")
        path = project / f"config/studies/{names[-1]}.yaml"
        path.write_text(yaml.safe_dump(content | {"training": training}, sort_keys=False), encoding="utf-8")
    return names


def dry_run(project: Path, study: str, repeats: int) -> DryRun:
    """Time ``snakemake --dry-run`` of a study, as a user calls it."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--config", f"study={study}"]
    seconds, cpu = [], []
    for _ in range(repeats):
        before, started = os.times(), time.perf_counter()
        done = subprocess.run(
            command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        seconds.append(time.perf_counter() - started)
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
        total = re.search(r"^total +(\d+)$", done.stdout, flags=re.MULTILINE)
        if done.returncode or total is None:
            raise RuntimeError(f"the dry run of {study} failed:\n{done.stdout[-3000:]}")
    return DryRun(study, int(total[1]), statistics.median(seconds), statistics.median(cpu), seconds)


def show(found: list[DryRun]) -> None:
    table = Table("study", "jobs", "seconds", "processor seconds", title="dry runs")
    for run in sorted(found, key=lambda run: run.jobs):
        slow = LIMIT_JOBS <= run.jobs <= 1.2 * LIMIT_JOBS and run.seconds > LIMIT_SECONDS
        table.add_row(
            run.study,
            f"{run.jobs:,}",
            f"{run.seconds:.1f}" + ("  above the limit" if slow else ""),
            f"{run.cpu_seconds:.1f}",
        )
    Console(width=int(os.environ.get("COLUMNS", "100"))).print(table)


if __name__ == "__main__":
    typer.run(main)
