"""What earlier runs of a study say about its cost: ``timing.jsonl`` and ``metrics.jsonl`` of its runs, the seconds of its generations.

Runs of another configuration do not count: they may have had longer responses, more problems or more processes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokencredit.config import Study
from tokencredit.cost.quantity import Quantity, measured
from tokencredit.errors import UserError
from tokencredit.files import read_json, read_jsonl
from tokencredit.study.jobs import jobs_of
from tokencredit.study.paths import Paths

_PHASES = ("seconds_sample", "seconds_grade", "seconds_score", "seconds_update")


@dataclass(frozen=True)
class NodeSpeed:
    """What a check of a node measured of one of its GPUs, called ``gpu``; None where a benchmark was left out.

    ``utilisation``: share of the peak that passes reach. ``bandwidth_share``: of the peak, by vLLM's decoding. ``layer_launch``: seconds of
    one layer in a step of decoding by the transformers engine.
    """

    gpu: str
    utilisation: Quantity | None = None
    bandwidth_share: Quantity | None = None
    layer_launch: Quantity | None = None


@dataclass(frozen=True)
class Timings:
    """Means over the steps of a study's finished runs; None, or an empty table, where there is none.

    ``tokens_per_second``: response tokens trained on per second of a step, by method and over all. ``sampling_tokens_per_second``: by one
    process. ``groups_sampled``: for each group trained on, in runs with dynamic sampling. ``evaluation_seconds``: of one evaluation inside
    training. ``generation_seconds``: of one row's responses, by benchmark. ``node``: of a node that was checked, not of runs.
    """

    runs: int = 0
    response_tokens: Quantity | None = None
    groups_sampled: Quantity | None = None
    tokens_per_second: dict[str, Quantity] = field(default_factory=dict)
    mean_tokens_per_second: Quantity | None = None
    sampling_tokens_per_second: Quantity | None = None
    evaluation_seconds: Quantity | None = None
    generation_seconds: dict[str, Quantity] = field(default_factory=dict)
    node: NodeSpeed | None = None


NOTHING = Timings()


def read_timings(study: Study, results: str | Path, made_again: Collection[str] | None = None) -> Timings:
    """What the finished runs of ``study`` below the results folder measured. A file that cannot be read is a ``UserError``.

    Runs say what configuration they had, and those of another are left out. Generations say it to Snakemake only: they count where
    ``made_again``, the files that it would make now, is known, and does not hold them.
    """
    results = Path(results)
    processes = study.resources.train.all_processes
    folders = {method: _folders(study, results, method, processes) for method in study.methods}
    steps = {method: [step for folder in found for step in _steps(folder)] for method, found in folders.items()}
    everything = [step for run in steps.values() for step in run]
    learned = [step for step in everything if "tokens" in step]
    group = study.training.group_size
    dynamic = [step for method, run in steps.items() if study.recipe_of(method).dynamic_sampling for step in run]
    evaluated = [step for step in everything if _evaluates(study, step["step"])]
    return Timings(
        runs=sum(map(len, folders.values())),
        response_tokens=_ratio((step["response_tokens"], 1) for step in learned),
        groups_sampled=_ratio((step["groups_sampled"], step["groups_used"]) for step in dynamic),
        tokens_per_second={method: speed for method, run in steps.items() if (speed := _speed(run))},
        mean_tokens_per_second=_speed(everything),
        sampling_tokens_per_second=_ratio(
            (step["groups_sampled"] * group * step["response_tokens"] / processes, step["seconds_sample"])
            for step in learned
        ),
        evaluation_seconds=_ratio((step["seconds_evaluate"], 1) for step in evaluated),
        generation_seconds={} if made_again is None else _generations(study, results, made_again),
    )


def _folders(study: Study, results: Path, method: str, processes: int) -> list[Path]:
    """Of the method's finished runs that had its configuration of now."""
    # As JSON has it: no tuples.
    now = {"config": json.loads(json.dumps(study.training_config(method))), "processes": processes}
    paths = Paths(study, results)
    finished = [folder for row in study.rows if row.method == method if (folder := paths.run(row)).record.is_file()]
    return [folder.folder for folder in finished if now.items() <= read_json(folder.record).items()]


def _steps(folder: Path) -> list[dict[str, Any]]:
    """Every step of a finished run: its metrics and its seconds."""
    metrics, timing = (read_jsonl(folder / f"{name}.jsonl") for name in ("metrics", "timing"))
    if len(metrics) != len(timing):
        raise UserError(
            f"{folder}: metrics.jsonl has {len(metrics)} lines and timing.jsonl {len(timing)}; each has one for a step."
        )
    return [line | seconds for line, seconds in zip(metrics, timing, strict=True)]


def _generations(study: Study, results: Path, made_again: Collection[str]) -> dict[str, Quantity]:
    """Seconds of a row's job by benchmark, by the workflow's clock, as a mean over the finished rows."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    for job in jobs_of(study, str(results)):
        stands = Path(job.outputs[0]).is_file() and job.outputs[0] not in made_again
        if job.rule == "generate" and stands and Path(job.usage).is_file():
            seconds.setdefault(job.benchmark, []).extend((line["s"], 1) for line in read_jsonl(Path(job.usage))[-1:])
    return {name: mean for name, pairs in seconds.items() if (mean := _ratio(pairs))}


def _evaluates(study: Study, step: int) -> bool:
    return step % study.training.curve.every == 0 or step == study.training.steps


def _speed(steps: list[dict[str, Any]]) -> Quantity | None:
    return _ratio((step.get("tokens", 0), sum(step[phase] for phase in _PHASES)) for step in steps)


def _ratio(pairs: Iterable[tuple[float, float]]) -> Quantity | None:
    """Sum over sum, or None where there is nothing to divide by."""
    above, below = (sum(side) for side in zip((0.0, 0.0), *pairs, strict=True))
    return measured(above / below) if below and above else None
