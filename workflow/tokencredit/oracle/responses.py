"""The responses that training stored: their prefixes are the states that are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.records import Problem
from tokencredit.study.paths import RunFolder

_COLUMNS = [
    *("step", "problem_id", "sample", "position", "token_id"),
    *("token", "old_logprob", "reward", "quadrant"),
]


@dataclass(frozen=True)
class Taken:
    """A response as it was sampled.

    ``record``: its tokens, one line each in order, with ``token_id``, ``token``, ``old_logprob``, ``reward`` and ``quadrant`` as in
    ``rollouts.parquet``.
    """

    problem_id: str
    cell: str
    sample: int
    prompt: tuple[int, ...]
    gold: str
    record: pd.DataFrame

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(self.record["token_id"].tolist())


def stored_responses(
    runs: list[Path], step: int, problems: list[Problem], encode: Callable[[Problem], tuple[int, ...]]
) -> list[Taken]:
    """The stored responses of ``step`` of the runs in the folders ``runs``, sorted by problem, run and sample.

    A response's seed derives from the training seed, its problem and its number, so runs that share a seed begin with the same responses,
    as far as these were kept: equal responses are taken once, from the first run. An engine whose samples depend on their batch may give
    another response under the same number; this counts as a response of its own, told apart by ``cell``, its run's method. What goes on
    from a failed response is left out: the policy did not choose its beginning.
    """
    known = {problem.problem_id: problem for problem in problems}
    if len(known) != len(problems):
        raise UserError(
            "two training problems have the same problem_id; which one a stored response answers cannot be told."
        )
    found: dict[tuple[str, int, tuple[int, ...]], Taken] = {}
    for run in runs:
        about = files.read_json(RunFolder(run).record)
        table, cell = _rollouts(run, step, restarts="resets" in about["config"]), about["cell"]
        for (problem_id, sample), record in table.groupby(["problem_id", "sample"], sort=False):
            if record["position"].tolist() != list(range(len(record))):
                raise UserError(
                    f"{RunFolder(run).rollouts}: response {sample} to {problem_id} in step {step} has positions "
                    f"{record['position'].tolist()[:8]} …; one response from 0 on was expected. A step that draws a problem twice "
                    f"cannot be measured: fewer prompts per step than problems are needed."
                )
            if problem_id not in known:
                raise UserError(
                    f"{RunFolder(run).rollouts}: {problem_id} is not among the {len(known)} training problems."
                )
            problem = known[problem_id]
            record = record.drop(columns=["step", "problem_id", "sample", "position"]).reset_index(drop=True)
            taken = Taken(problem_id, cell, int(sample), encode(problem), problem.answer, record)
            found.setdefault((problem_id, int(sample), taken.token_ids), taken)
    order = {run.parent.name: index for index, run in enumerate(runs)}
    return sorted(found.values(), key=lambda each: (each.problem_id, order.get(each.cell, 0), each.sample))


def _rollouts(run: Path, step: int, restarts: bool) -> pd.DataFrame:
    path = RunFolder(run).rollouts
    files.check_run_file(path)
    table = files.read_parquet(path, [*_COLUMNS, *(["begun"] if restarts else [])])
    chosen = table[table["step"] == step]
    if restarts:
        chosen = chosen[chosen["begun"] == 0].drop(columns="begun")
    if chosen.empty:
        raise UserError(f"{path}: holds no response of step {step}; it has steps {sorted(set(table['step']))}.")
    return chosen
