"""What is left of a study: the estimate of the jobs that would run now, by rule and by cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencredit.config import Study
from tokencredit.plan import disk
from tokencredit.plan.estimate import Estimate
from tokencredit.plan.jobs import architecture_of
from tokencredit.plan.quantity import Quantity, largest, total
from tokencredit.plan.show import LEGEND, in_bytes, in_time, marked
from tokencredit.units import Unit

if TYPE_CHECKING:
    from rich.table import Table

_ON_A_MODEL = ("train", "generate")
# Which resources of a study a rule asks for; all others are light.
_KINDS = {"pretrain": "pretrain", "train": "train", "generate": "generate"}


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


def cost_of(study: Study, estimate: Estimate, units: Iterable[Unit]) -> Cost:
    """What ``units`` of ``study`` take together. Only jobs on a model are reckoned; others count as jobs."""
    units = list(units)
    known = {(job.rule, job.name, job.model): job for job in estimate.jobs}
    jobs = [known[_key(unit)] for unit in units if unit.rule in _ON_A_MODEL]
    fetched = [disk.released_bytes(architecture_of(study, unit.name)) for unit in units if unit.rule == "fetch"]
    return Cost(
        jobs=len(units),
        gpu_hours=total([job.gpu_hours for job in jobs if job.gpu_hours]),
        seconds=total([job.time for job in jobs if job.time]),
        unknown=sum(job.time is None for job in jobs),
        kept_bytes=total([*fetched, *(job.kept_bytes for job in jobs)]),
        peak_bytes=largest([job.memory.peak for job in jobs]) if jobs else None,
    )


def over_budget(study: Study, cost: Cost) -> str | None:
    """A sentence where ``cost`` exceeds the study's budget of GPU-hours."""
    budget = study.resources.budget_gpu_hours
    if budget is None or cost.gpu_hours.value <= budget:
        return None
    return (
        f"{study.config.folder / 'studies' / study.name}.yaml: resources.budget_gpu_hours = {budget:g}: what would run takes "
        f"{marked(cost.gpu_hours)} GPU-hours by the estimate (`snakemake plan` says how they come about); "
        f"ask for a part of the study, or allow more."
    )


def print_remaining(study: Study, estimate: Estimate, units: list[Unit]) -> None:
    """Tables of what would run on the terminal."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 150)
    cost = cost_of(study, estimate, units)
    console.print(f"{study.name}: {study.title}", markup=False, style="bold")
    if not units:
        console.print("everything is made; nothing would run", markup=False)
        return
    console.print(_table("What would run, by rule", _grouped(study, estimate, units, lambda unit: unit.rule)))
    for rule in _ON_A_MODEL:
        chosen = [unit for unit in units if unit.rule == rule]
        if chosen:
            groups = _grouped(study, estimate, chosen, lambda unit: unit.row.path)
            console.print(_table(f"What would run: {rule}, by row", groups))
    budget = study.resources.budget_gpu_hours
    allowed = "no budget is set (resources.budget_gpu_hours)" if budget is None else f"the budget is {budget:g}"
    if estimate.gpu:
        console.print(f"{marked(cost.gpu_hours)} GPU-hours on {estimate.gpu}; {allowed}", markup=False, style="bold")
    console.print(LEGEND, markup=False)


def _grouped(
    study: Study, estimate: Estimate, units: list[Unit], name_of: Callable[[Unit], str]
) -> list[tuple[str, Cost, int]]:
    """Name, cost, and the memory in MB that a job asks the scheduler for, of each group of units."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(name_of(unit), []).append(unit)
    return [
        (name, cost_of(study, estimate, group), getattr(study.resources, _KINDS.get(group[0].rule, "light")).mem_mb)
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
        known = cost.peak_bytes is not None and not cost.unknown
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


def _key(unit: Unit) -> tuple[str, str, str]:
    """How the estimate calls a unit that works on a model."""
    return unit.rule, unit.row.name if unit.rule == "train" else unit.benchmark, unit.row.model
