"""Two engines side by side in the records of two training runs: mismatch with the trainer, canary, and speed of sampling.

``python benchmarks/engines.py results/pocket/runs/grpo/seed0 results/pocket-vllm/runs/grpo/seed0`` prints a column for each run, and the
other settings in which the runs differ. docs/performance.md says how the second run is made. Nothing is sampled here.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tokencredit.errors import UserError
from tokencredit.files import read_json, read_jsonl
from tokencredit.tools.compare import differences, made_with

# In which two runs of the same settings with two engines differ.
_OF_ENGINES = ("config.training.engine", "config.training.engine_", "environment.", "digests.", "study")


@dataclass(frozen=True)
class Sampled:
    """What one run's records say of its sampler, over the steps that something was learned in.

    ``kl``: the mean KL(sampler, trainer) of a step in nats a token, its median and its largest; ``outside``: the largest share of tokens
    with a ratio outside [0.5, 2]; ``canary``: the largest mean and the largest difference of the canary's log-probs in nats, None for an
    engine that samples from the trained weights themselves. ``tokens_per_second``: sampled response tokens; ``seconds``: of sampling and
    of a whole step, as means.
    """

    engine: str
    precision: str
    steps: int
    kl: tuple[float, float]
    outside: float
    canary: tuple[float, float] | None
    tokens_per_second: float
    seconds: tuple[float, float]


def read_run(folder: Path) -> Sampled:
    """The records of a finished run. ``UserError`` for a folder that holds none, and for a run in which no step learned anything."""
    training = read_json(folder / "run.json")["config"]["training"]
    metrics, timing = read_jsonl(folder / "metrics.jsonl"), read_jsonl(folder / "timing.jsonl")
    steps = [line | spent for line, spent in zip(metrics, timing, strict=True) if "mismatch_kl" in line]
    if not steps:
        raise UserError(f"{folder / 'metrics.jsonl'}: no step has a mismatch; in each, nothing was learned.")
    apart = [step["mismatch_kl"] for step in steps]
    watched = [step for step in steps if "canary_mean" in step]
    sampled = sum(_groups(step) * training["group_size"] * step["response_tokens"] for step in steps)
    return Sampled(
        engine=training["engine"],
        precision=training["mixed_precision"],
        steps=len(steps),
        kl=(statistics.median(apart), max(apart)),
        outside=max(step["mismatch_outside"] for step in steps),
        canary=(_largest(watched, "canary_mean"), _largest(watched, "canary_max")) if watched else None,
        tokens_per_second=sampled / sum(step["seconds_sample"] for step in steps),
        seconds=(_mean(steps, "seconds_sample"), statistics.mean(map(_seconds, steps))),
    )


def other_differences(one: Path, other: Path) -> dict[str, tuple[Any, Any]]:
    """The settings, seeds and models in which two runs differ beside their engines."""
    found = differences(made_with(one), made_with(other))
    return {key: pair for key, pair in found.items() if not key.startswith(_OF_ENGINES)}


def main(
    one: Annotated[Path, typer.Argument(help="The folder of a finished training run.")],
    other: Annotated[Path, typer.Argument(help="The folder of one with another engine.")],
) -> None:
    """Print what the records of two runs say of their samplers."""
    try:
        runs, differing = [read_run(one), read_run(other)], other_differences(one, other)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    console = Console(highlight=False, soft_wrap=True)
    console.print(as_table(runs))
    for key, pair in differing.items():
        console.print(f"{key} differs too: {pair[0]} and {pair[1]}", markup=False)


def as_table(runs: list[Sampled]) -> Table:
    table = Table("", *(run.engine for run in runs), box=None)
    for name, cell in (
        ("passes", lambda run: "float32" if run.precision == "no" else run.precision),
        ("steps", lambda run: str(run.steps)),
        ("KL(sampler, trainer), median of steps, nats a token", lambda run: f"{run.kl[0]:.2g}"),
        ("the same, largest", lambda run: f"{run.kl[1]:.2g}"),
        ("tokens with a ratio outside [0.5, 2], largest", lambda run: f"{run.outside:.2%}"),
        ("canary, mean difference, largest, nats", lambda run: f"{run.canary[0]:.2g}" if run.canary else ""),
        ("canary, largest difference, nats", lambda run: f"{run.canary[1]:.2g}" if run.canary else ""),
        ("response tokens sampled per second", lambda run: f"{run.tokens_per_second:,.0f}"),
        ("seconds of sampling, a step", lambda run: f"{run.seconds[0]:.1f}"),
        ("seconds of a step", lambda run: f"{run.seconds[1]:.1f}"),
    ):
        table.add_row(name, *map(cell, runs))
    return table


def _groups(step: dict[str, Any]) -> int:
    """All groups that were sampled in a step; records of earlier versions have no surplus."""
    return step["groups_sampled"] + step.get("groups_surplus", 0)


def _seconds(step: dict[str, Any]) -> float:
    return sum(step[f"seconds_{phase}"] for phase in ("sample", "grade", "score", "update"))


def _mean(steps: list[dict[str, Any]], key: str) -> float:
    return statistics.mean(step[key] for step in steps)


def _largest(steps: list[dict[str, Any]], key: str) -> float:
    return max(step[key] for step in steps)


if __name__ == "__main__":
    typer.run(main)
