"""What is left of a study: the estimate of the jobs that would run now, by rule and by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tokencredit.config import Study
from tokencredit.cost.estimate import Estimate
from tokencredit.cost.quantity import Quantity, assumed, largest, total
from tokencredit.cost.show import LEGEND, in_bytes, in_time, marked
from tokencredit.study.jobs import Job

if TYPE_CHECKING:
    from rich.table import Table

_ON_A_MODEL = ("train", "oracle", "generate")
# Which resources of a study a rule asks for; all others are light.
KINDS = {
    "pretrain": "pretrain",
    "start": "pretrain",
    "train": "train",
    **dict.fromkeys(("oracle", "attribute", "generate", "pool", "search", "tune"), "generate"),
}
# Rules on a model that nothing estimates: on GPUs their jobs count for their time limit.
_BY_LIMIT = ("pretrain", "start", "pool", "search", "tune", "attribute")


@dataclass(frozen=True)
class Cost:
    """Of ``jobs`` jobs, one after the other: GPU-hours and seconds of those whose time is known, bytes that stay on disk.

    ``peak_bytes``: of the GPU, or of the process on the CPU, that needs most; None where no job works on a model. ``unknown``: jobs on a
    model whose time nothing tells.
    """

    jobs: int
    gpu_hours: Quantity
    seconds: Quantity
    unknown: int
    kept_bytes: Quantity
    peak_bytes: Quantity | None


def cost_of(study: Study, estimate: Estimate, jobs: Iterable[Job]) -> Cost:
    """What ``jobs`` of ``study`` take together. Only jobs on a model are reckoned; others count as jobs.

    A run with a checkpoint counts for the steps that it lacks. A job of ``_BY_LIMIT`` on GPUs counts for its time limit.
    """
    jobs = list(jobs)
    known = {(job.rule, job.name, job.model): job for job in estimate.jobs}
    parts = [(known[_key(job)], _part_left(study, job)) for job in jobs if job.rule in _ON_A_MODEL]
    fetched = [estimate.released[job.name] for job in jobs if job.rule == "fetch"]
    asked = [getattr(study.resources, KINDS[job.rule]) for job in jobs if job.rule in _BY_LIMIT]
    limits = [(assumed(60 * needs.runtime), needs.all_gpus) for needs in asked if needs and needs.gpu]
    return Cost(
        jobs=len(jobs),
        gpu_hours=total(
            [
                *(job.gpu_hours * part for job, part in parts if job.gpu_hours),
                *(limit * gpus / 3600 for limit, gpus in limits),
            ]
        ),
        seconds=total([*(job.time * part for job, part in parts if job.time), *(limit for limit, _ in limits)]),
        unknown=sum(job.time is None for job, _ in parts),
        kept_bytes=total([*fetched, *(job.kept_bytes for job, _ in parts)]),
        peak_bytes=largest([job.memory.peak for job, _ in parts]) if parts else None,
    )


def steps_saved(job: Job) -> int:
    """The step of a run's newest checkpoint; 0 where there is none."""
    found = Path(job.outputs[0]).parent.glob("work/*/checkpoints/step-*")
    try:
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    except FileNotFoundError:  # the run goes on, and has deleted an old one
        return steps_saved(job)
    return int(newest.name.removeprefix("step-")) if newest else 0


def only(estimate: Estimate, jobs: Iterable[Job]) -> Estimate:
    """The estimate of those jobs alone that are among ``jobs``."""
    keys = {_key(job) for job in jobs if job.rule in _ON_A_MODEL}
    return replace(estimate, jobs=tuple(job for job in estimate.jobs if (job.rule, job.name, job.model) in keys))


def over_budget(study: Study, cost: Cost) -> str | None:
    """A sentence where ``cost`` exceeds the study's budget of GPU-hours."""
    budget = study.resources.budget_gpu_hours
    if budget is None or cost.gpu_hours.value <= budget:
        return None
    return (
        f"{study.config.folder / 'studies' / study.home}.yaml: resources.budget_gpu_hours = {budget:g}: what would run takes "
        f"{marked(cost.gpu_hours)} GPU-hours by the estimate (`snakemake plan` says how they come about); "
        f"ask for a part of the study, or allow more."
    )


def print_remaining(study: Study, estimate: Estimate, jobs: list[Job]) -> None:
    """Tables of what would run on the terminal."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 150)
    cost = cost_of(study, estimate, jobs)
    console.print(f"{study.name}: {study.title}", markup=False, style="bold")
    if not jobs:
        console.print("everything is made; nothing would run", markup=False)
        return
    console.print(_table("What would run, by rule", _grouped(study, estimate, jobs, lambda job: job.rule)))
    for rule in _ON_A_MODEL:
        chosen = [job for job in jobs if job.rule == rule]
        if chosen:
            groups = _grouped(study, estimate, chosen, lambda job: job.row.path)
            console.print(_table(f"What would run: {rule}, by row", groups))
    budget = study.resources.budget_gpu_hours
    allowed = "no budget is set (resources.budget_gpu_hours)" if budget is None else f"the budget is {budget:g}"
    if estimate.gpu or cost.gpu_hours.value:
        place = f" on {estimate.gpu}" if estimate.gpu else ""
        console.print(f"{marked(cost.gpu_hours)} GPU-hours{place}; {allowed}", markup=False, style="bold")
    for job in jobs:
        if job.rule == "train" and (step := steps_saved(job)):
            left = max(0, study.training.steps - step)
            said = f"{job} has a checkpoint of step {step}: counted are the {left} of {study.training.steps} steps that are left"
            console.print(f"{said}, as if nothing that decides the run has changed since", markup=False)
    console.print(LEGEND, markup=False)


def _part_left(study: Study, job: Job) -> float:
    return max(0.0, 1 - steps_saved(job) / study.training.steps) if job.rule == "train" else 1.0


def _grouped(
    study: Study, estimate: Estimate, jobs: list[Job], name_of: Callable[[Job], str]
) -> list[tuple[str, Cost, int]]:
    """Name, cost, and the memory in MB that a job asks the scheduler for, of each group of jobs."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(name_of(job), []).append(job)
    return [
        (name, cost_of(study, estimate, group), getattr(study.resources, KINDS.get(group[0].rule, "light")).mem_mb)
        for name, group in groups.items()
    ]


def _table(title: str, groups: list[tuple[str, Cost, int]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for name in (
        "jobs",
        "GPU-hours",
        "time, one after the other",
        "peak of a GPU or process",
        "memory asked",
        "disk when done",
    ):
        table.add_column(name, justify="right")
    for name, cost, mem_mb in groups:
        known = not cost.unknown and bool(cost.seconds.value)
        table.add_row(
            name,
            f"{cost.jobs}",
            marked(cost.gpu_hours) if known else "",
            in_time(cost.seconds) if known else "unknown" if cost.unknown else "",
            in_bytes(cost.peak_bytes) if cost.peak_bytes else "",
            f"{mem_mb:,} MB",
            in_bytes(cost.kept_bytes) if cost.kept_bytes.value else "",
        )
    return table


def _key(job: Job) -> tuple[str, str, str]:
    """How the estimate calls a job that works on a model."""
    return job.rule, job.benchmark or job.row.name, job.row.model
