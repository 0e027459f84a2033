"""What earlier runs of a study say about its cost: ``timing.jsonl`` and ``metrics.jsonl`` of its cells, the clocks of its generations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokencredit.config import Study
from tokencredit.plan.quantity import Quantity, measured

_PHASES = ("seconds_sample", "seconds_grade", "seconds_score", "seconds_update")


@dataclass(frozen=True)
class Measured:
    """Means over the steps of a study's finished runs; None, or an empty table, where there is none.

    ``tokens_per_second``: response tokens trained on per second of a step, by cell and over all. ``sampling_tokens_per_second``: by one
    process. ``groups_sampled``: for each group trained on, in runs with dynamic sampling. ``evaluation_seconds``: of one evaluation inside
    training. ``generation_seconds``: of one row's responses, by benchmark.
    """

    runs: int = 0
    response_tokens: Quantity | None = None
    groups_sampled: Quantity | None = None
    tokens_per_second: dict[str, Quantity] = field(default_factory=dict)
    mean_tokens_per_second: Quantity | None = None
    sampling_tokens_per_second: Quantity | None = None
    evaluation_seconds: Quantity | None = None
    generation_seconds: dict[str, Quantity] = field(default_factory=dict)


NOTHING = Measured()


def read_measured(study: Study, results: str | Path) -> Measured:
    """What the finished runs of ``study`` below the results folder measured. A file that cannot be read is a ``UserError``."""
    results = Path(results)
    steps = {cell: _steps(study, results, cell) for cell in study.methods}
    everything = [step for run in steps.values() for step in run]
    learned = [step for step in everything if "tokens" in step]
    group, processes = study.training.group_size, study.resources.train.gpu or study.resources.train.processes
    dynamic = [step for cell, run in steps.items() if study.base_of(cell).dynamic_sampling for step in run]
    evaluated = [step for step in everything if _evaluates(study, step["step"])]
    return Measured(
        runs=sum(len(_folders(study, results, cell)) for cell in study.methods),
        response_tokens=_ratio((step["response_tokens"], 1) for step in learned),
        groups_sampled=_ratio((step["groups_sampled"], step["groups_used"]) for step in dynamic),
        tokens_per_second={cell: speed for cell, run in steps.items() if (speed := _speed(run))},
        mean_tokens_per_second=_speed(everything),
        sampling_tokens_per_second=_ratio(
            (step["groups_sampled"] * group * step["response_tokens"] / processes, step["seconds_sample"])
            for step in learned
        ),
        evaluation_seconds=_ratio((step["seconds_evaluate"], 1) for step in evaluated),
        generation_seconds={
            name: seconds for name in study.benchmarks if (seconds := _generation(study, results, name))
        },
    )


def _steps(study: Study, results: Path, cell: str) -> list[dict[str, Any]]:
    """Every step of a cell's finished runs: its metrics and its seconds."""
    # Imported here: the graph asks for estimates without the libraries that read tables.
    from tokencredit.files import read_jsonl

    found = []
    for folder in _folders(study, results, cell):
        metrics, timing = (read_jsonl(folder / f"{name}.jsonl") for name in ("metrics", "timing"))
        found += [line | seconds for line, seconds in zip(metrics, timing, strict=True)]
    return found


def _folders(study: Study, results: Path, cell: str) -> list[Path]:
    folders = [results / study.name / "runs" / row.path for row in study.rows if row.cell == cell]
    return [folder for folder in folders if (folder / "run.json").is_file()]


def _generation(study: Study, results: Path, benchmark: str) -> Quantity | None:
    """Seconds of a row's job, by the clock of the workflow, as a mean over the rows that ran."""
    from tokencredit.files import read_jsonl

    logs = [results / "logs" / "generate" / study.name / row.path / f"{benchmark}.usage.jsonl" for row in study.rows]
    return _ratio((read_jsonl(path)[-1]["s"], 1) for path in logs if path.is_file())


def _evaluates(study: Study, step: int) -> bool:
    return step % study.training.curve.every == 0 or step == study.training.steps


def _speed(steps: list[dict[str, Any]]) -> Quantity | None:
    return _ratio((step.get("tokens", 0), sum(step[phase] for phase in _PHASES)) for step in steps)


def _ratio(pairs: Iterable[tuple[float, float]]) -> Quantity | None:
    """Sum over sum, or None where there is nothing to divide by."""
    above, below = (sum(side) for side in zip((0.0, 0.0), *pairs, strict=True))
    return measured(above / below) if below and above else None
