"""The time and memory that a study took, beside what was estimated from its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokencredit import files
from tokencredit.analysis.store import Store
from tokencredit.cost import Reckoned, Terms, estimate
from tokencredit.cost.architectures import declared_architecture
from tokencredit.cost.remaining import KINDS
from tokencredit.study.jobs import RULES, Job, jobs_of


@dataclass(frozen=True)
class Cost:
    """The jobs of a rule one after the other. ``logged``: those whose time is kept; ``used``: their seconds; ``used_mb``: the most memory.

    A training run's seconds are those of its steps, whichever jobs they were made in; of other jobs those of the last time they ran.
    ``planned``: seconds by the estimate made from the configuration alone; None where it knows of none, as on CPUs. ``asked_mb``: memory
    asked of the scheduler for one job.
    """

    rule: str
    jobs: int
    logged: int
    planned: float | None
    used: float | None
    asked_mb: int
    used_mb: float | None


def by_rule(store: Store) -> list[Cost]:
    """One per rule, in the order in which a study goes through them. The page itself is not done yet, and is left out."""
    study = store.study
    # A shape that only the fetched model tells is left out: the page is made from the configuration and from records.
    described = all(declared_architecture(study, name) for name in study.model_names)
    planned = estimate(study, Terms()).jobs if described else ()
    jobs = jobs_of(study, store.results)
    return [
        _cost(store, rule, [job for job in jobs if job.rule == rule], planned)
        for rule in RULES
        if rule != "report" and any(job.rule == rule for job in jobs)
    ]


def _cost(store: Store, rule: str, jobs: list[Job], planned: Sequence[Reckoned]) -> Cost:
    # The last line of a job's usage is of the run that made what is there now.
    logs = [job.usage for job in jobs if store.present(Path(job.usage))]
    usage = [files.read_jsonl(log)[-1] for log in logs]
    seconds = [line["s"] for line in usage]
    if rule == "train":
        # A run may have been stopped and resumed, and a job may find it finished: its last job took less than it.
        times = (store.seconds_of_steps(job.row.name, job.row.seed) for job in jobs)
        seconds = [time for time in times if time is not None]
    # Snakemake writes "NA" where a job ended before its memory could be measured.
    memory = [line["max_rss"] for line in usage if line["max_rss"] != "NA"]
    expected = [job for job in planned if job.rule == rule]
    known = expected and all(job.time for job in expected)
    return Cost(
        rule=rule,
        jobs=len(jobs),
        logged=len(seconds),
        planned=sum(job.time.value * job.count for job in expected) if known else None,
        used=sum(seconds) if seconds else None,
        asked_mb=getattr(store.study.resources, KINDS.get(rule, "light")).mem_mb,
        used_mb=max(memory) if memory else None,
    )
