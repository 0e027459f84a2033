"""How long the graph takes to be planned: seconds of a Snakemake dry run against its number of jobs, and against Snakemake itself.

``python benchmarks/graph.py`` dry-runs every study of the configuration, and copies of one with more methods and seeds until they have a
given number of jobs. Each dry run is a new process in a copy of the project without results, so that every job is to be run. Next to it
runs one of a bare Snakefile with as many jobs of as many rules, each with as many inputs and outputs, and nothing to compute: what takes
longer than that is the project's. Prints the seconds and writes them as JSON.
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
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from tokencredit.config import Config, load_study, read_yaml
from tokencredit.study.jobs import jobs_of
from tokencredit.tools.node.machine import machine

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "config", "envs", "profiles", "slurm", "workflow")
LIMIT_JOBS, LIMIT_SECONDS = 1000, 10.0


@dataclass(frozen=True)
class DryRun:
    """The dry runs of one study: wall time, processor time, and processor time of its bare Snakefile; medians of seconds."""

    study: str
    jobs: int
    seconds: float
    cpu_seconds: float
    bare_cpu_seconds: float
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
    """Time ``snakemake --dry-run`` of a study, as a user calls it, and of its bare Snakefile, by turns."""
    seconds, cpu, bare_cpu = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        write_bare(project, study, Path(folder))
        for _ in range(repeats):
            jobs, wall, used = timed(project, f"study={study}")
            bare_jobs, _, bare_used = timed(Path(folder))
            if jobs != bare_jobs:
                raise RuntimeError(f"{study} has {jobs} jobs and its bare Snakefile {bare_jobs}")
            seconds.append(wall)
            cpu.append(used)
            bare_cpu.append(bare_used)
    return DryRun(study, jobs, *map(statistics.median, (seconds, cpu, bare_cpu)), seconds)


def timed(folder: Path, *config: str) -> tuple[int, float, float]:
    """The jobs of a dry run in ``folder``, its seconds, and its seconds of processor time."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--dry-run",
        *(["--config", *config] if config else []),
    ]
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds, after = time.perf_counter() - started, os.times()
    total = re.search(r"^total +(\d+)$", done.stdout, flags=re.MULTILINE)
    if done.returncode or total is None:
        raise RuntimeError(f"the dry run in {folder} failed:\n{done.stdout[-3000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return int(total[1]), seconds, cpu


def write_bare(project: Path, study: str, folder: Path) -> None:
    """A Snakefile in ``folder`` with a study's jobs: as many rules with wildcards, inputs read from a table, fixed resources."""
    jobs = jobs_of(load_study(project / "config", study))
    numbers, places, outputs = Counter[str](), {}, Counter[str]()
    for job in jobs:
        for place, output in enumerate(job.outputs):
            places[str(output)] = f"out/{job.rule}/{numbers[job.rule]}/{place}"
        numbers[job.rule] += 1
        outputs[job.rule] = max(outputs[job.rule], len(job.outputs))
    inputs: dict[str, list[str]] = {}
    for job in jobs:
        first = places[str(job.outputs[0])].rpartition("/")[0]
        inputs[first] = [places[file] for file in sorted(job.files) if file in places]
    (folder / "inputs.json").write_text(json.dumps(inputs | {"all": list(places.values())}), encoding="utf-8")
    rules = [
        f"rule {rule}:\n"
        f'    input: lambda wildcards: INPUTS[f"out/{rule}/{{wildcards.number}}"]\n'
        f"    output: expand('out/{rule}/{{{{number}}}}/{{place}}', place=range({count}))\n"
        f'    log: "logs/{rule}/{{number}}.log"\n'
        "    threads: 1\n"
        "    resources: mem_mb=1000, runtime=60\n"
        '    shell: "touch {output}"\n'
        for rule, count in outputs.items()
    ]
    start = 'import json\n\nINPUTS = json.load(open("inputs.json"))\n\nrule all:\n    input: INPUTS["all"]\n'
    (folder / "Snakefile").write_text("\n".join([start, *rules]), encoding="utf-8")


def show(found: list[DryRun]) -> None:
    table = Table("study", "jobs", "seconds", "processor seconds", "of Snakemake's own", title="dry runs")
    for run in sorted(found, key=lambda run: run.jobs):
        slow = LIMIT_JOBS <= run.jobs <= 1.2 * LIMIT_JOBS and run.seconds > LIMIT_SECONDS
        table.add_row(
            run.study,
            f"{run.jobs:,}",
            f"{run.seconds:.1f}" + ("  above the limit" if slow else ""),
            f"{run.cpu_seconds:.1f}",
            f"{run.bare_cpu_seconds:.1f}",
        )
    Console(width=int(os.environ.get("COLUMNS", "100"))).print(table)


if __name__ == "__main__":
    typer.run(main)
