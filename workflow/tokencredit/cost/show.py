"""An estimate as tables and sentences for a person, and as JSON for other tools. Every number is shown with its basis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tokencredit.cost.estimate import Estimate
from tokencredit.cost.quantity import Basis, Quantity, largest, total
from tokencredit.cost.reckoning import Reckoned
from tokencredit.cost.remedies import Shortfall

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MARKS = {Basis.GIVEN: "ᵍ", Basis.MEASURED: "ᵐ", Basis.ASSUMED: "ᵃ"}
LEGEND = "ᵍ given: the configuration, the command line, and arithmetic on them · ᵐ measured: a run, or a node · ᵃ rests on an assumption"
_NAMED = 3  # jobs of a line that are named before the rest is counted


def as_json(estimate: Estimate) -> dict[str, Any]:
    """Everything in it, every number beside its basis; bytes and seconds."""
    totals = {
        "gpu_hours": asdict(estimate.gpu_hours),
        "seconds": asdict(estimate.time),
        "disk_bytes": asdict(estimate.disk_bytes),
        "jobs_of_unknown_time": estimate.unknown,
        "fits": not any(job.shortfalls for job in estimate.jobs),
    }
    jobs = [
        {
            **asdict(job),
            "peak_bytes": asdict(job.memory.peak),
            "gpu_hours": asdict(job.gpu_hours) if job.gpu_hours else None,
        }
        for job in estimate.jobs
    ]
    return {**asdict(estimate), "jobs": jobs, "totals": totals, "what_does_not_fit": sentences(estimate)}


def sentences(estimate: Estimate) -> list[str]:
    """What does not fit, the worst first: what needs how much, how much there is, and what would help."""
    found: dict[Shortfall, list[Reckoned]] = {}
    for job in estimate.jobs:
        for shortfall in job.shortfalls:
            found.setdefault(shortfall, []).append(job)
    worst = sorted(found, key=lambda shortfall: shortfall.room.value - shortfall.needs.value)
    return [_sentence(shortfall, found[shortfall], estimate) for shortfall in worst]


def print_estimate(estimate: Estimate) -> None:
    """The tables of an estimate on the terminal."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else 150)
    measured = f"; measured in {estimate.runs_measured} finished runs" if estimate.runs_measured else ""
    measured += f"; speeds measured on {estimate.gpu_measured}" if estimate.gpu_measured else ""
    console.print(f"{estimate.study}: {estimate.title}", markup=False, style="bold")
    console.print(f"{estimate.model}, {marked(estimate.parameters, '{:,.0f}')} parameters{measured}", markup=False)
    lines = _equal_jobs(estimate.jobs)
    console.print(_jobs_table(lines, estimate))
    for rule in dict.fromkeys(line.rule for line in lines):
        of_rule = [line for line in lines if line.rule == rule]
        console.print(_memory_table(max(of_rule, key=lambda line: line.memory.peak.value)))
    _print_time(console, lines)
    console.print(_disk_table(estimate))
    console.print(_terms_table(estimate))
    console.print(LEGEND, markup=False)
    for sentence in sentences(estimate):
        console.print(f"does not fit: {sentence}", markup=False, style="red")


def marked(quantity: Quantity, form: str = "{:,.1f}", unit: str = "") -> str:
    """The number with the mark of its basis, and its unit."""
    return f"{form.format(quantity.value)}{MARKS[quantity.basis]}{f' {unit}' if unit else ''}"


def in_bytes(quantity: Quantity) -> str:
    """A number of bytes in the unit that suits it."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if quantity.value >= size:
            return marked(quantity / size, "{:,.1f}", unit)
    return marked(quantity / 2**10, "{:,.0f}", "KiB")


def in_time(seconds: Quantity) -> str:
    """A duration in the unit that suits it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds.value >= 2 * size:
            return marked(seconds / size, unit=unit)
    return marked(seconds, unit="s")


def _sentence(shortfall: Shortfall, jobs: list[Reckoned], estimate: Estimate) -> str:
    places = {"GPU": f"one {estimate.gpu}", "process": "a process of it", "vLLM's share": "vLLM's share"}
    remedies = (
        f"what would help: {' or '.join(shortfall.remedies)}"
        if shortfall.remedies
        else "nothing that was tried would help"
    )
    return (
        f"{jobs[0].rule} {_names([job.name for job in jobs])} needs {in_bytes(shortfall.needs)} at its peak ({shortfall.phase}), and "
        f"{places[shortfall.place]} has {in_bytes(shortfall.room)} to give; {remedies}."
    )


def _equal_jobs(jobs: Iterable[Reckoned]) -> list[Reckoned]:
    """Jobs that differ in their names alone, as one; a name then stands for all of them."""
    found: dict[str, list[Reckoned]] = {}
    for job in jobs:
        found.setdefault(repr(replace(job, name="", model="", count=0)), []).append(job)
    return [
        replace(equal[0], name=_names([job.name for job in equal]), count=sum(job.count for job in equal))
        for equal in found.values()
    ]


def _names(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _jobs_table(lines: list[Reckoned], estimate: Estimate) -> Table:
    on_gpu, given = estimate.gpu is not None, MARKS[Basis.GIVEN]
    columns = [f"times{given}", f"GPUs{given}", "peak memory", "there is", "fits", "PFLOP each", "limit", "time each"]
    table = _table("Jobs", "job", *columns, "time in all", *(["GPU-hours"] if on_gpu else []))
    for line in lines:
        times = ["unknown"] * (2 + on_gpu)
        if line.time and line.gpu_hours:
            times = [in_time(line.time), in_time(line.time * line.count)]
            times += [marked(line.gpu_hours * line.count)] if on_gpu else []
        table.add_row(
            f"{line.rule} {line.name}",
            f"{line.count}",
            f"{line.gpus}",
            in_bytes(line.memory.peak),
            in_bytes(line.room_bytes),
            "no" if line.shortfalls else "yes",
            marked(line.operations / 1e15, "{:,.3g}"),
            in_time(line.limit),
            *times,
        )
    table.add_section()
    without = f", without {estimate.unknown} jobs whose time is unknown" if estimate.unknown else ""
    sums = [in_time(estimate.time), *([marked(estimate.gpu_hours)] if on_gpu else [])]
    table.add_row(f"all{without}", *[""] * len(columns), *sums)
    return table


def _memory_table(job: Reckoned) -> Table:
    """What lies in memory at the peak of every phase of a job."""
    unit = "a GPU" if job.gpus else "a process"
    table = _table(f"Memory of {unit}: {job.rule} {job.name}", "part", "when", "bytes")
    for part in job.memory.resident:
        table.add_row(part.name, "always", in_bytes(part.bytes))
    for phase, parts in job.memory.phases.items():
        table.add_section()
        for part in parts:
            table.add_row(part.name, phase, in_bytes(part.bytes))
        table.add_row("peak", phase, in_bytes(job.memory.needs(phase)), style="bold")
    return table


def _print_time(console: Console, lines: list[Reckoned]) -> None:
    known = [line for line in lines if line.seconds and line.rule == "train"]
    if not known:
        return
    table = _table("Time of one run", "run", *dict.fromkeys(name for line in known for name in line.seconds))
    for line in known:
        table.add_row(line.name, *map(in_time, line.seconds.values()))
    console.print(table)


def _disk_table(estimate: Estimate) -> Table:
    table = _table("Disk", "what", "bytes")
    if estimate.released_bytes.value:
        table.add_row("models that are fetched", in_bytes(estimate.released_bytes))
    kinds = {"train": "trained models and stored rollouts", "oracle": "measured credit", "generate": "responses"}
    for rule, what in kinds.items():
        if kept := [job.kept_bytes * job.count for job in estimate.jobs if job.rule == rule]:
            table.add_row(what, in_bytes(total(kept)))
    table.add_row("all, when the study is done", in_bytes(estimate.disk_bytes), style="bold")
    table.add_section()
    scratch = largest([job.scratch_bytes for job in estimate.jobs])
    table.add_row("more while one run trains: its checkpoints", in_bytes(scratch))
    return table


def _terms_table(estimate: Estimate) -> Table:
    table = _table("What this rests on beside the configuration", "", "value", "unit", "basis", "meaning", "option")
    for column in table.columns[2:]:
        column.justify = "left"
    for term in estimate.terms:
        value = marked(term.quantity, "{:,.4g}")
        table.add_row(term.name, value, term.unit, term.quantity.basis, term.meaning, term.option or "")
    return table
