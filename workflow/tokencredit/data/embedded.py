"""The embedded tasks: problems that are generated in tiers of difficulty, with worked solutions whose tokens differ in credit.

- *Stylistic* forks: many equivalent ways to say the same. High entropy, no credit.
- *Strategic* forks: take care, or be quick and often wrong. High entropy, real credit.
- Routine: what the problem or the solution so far settles. Low entropy.

A number is one token, from 0 to a task's ``LARGEST``: a model of a million parameters learns its sums as facts within two minutes.

Everything derives from seeds. A problem belongs to exactly one split by a hash of its text, so test problems can overlap neither the
problems of pretraining nor those of RL training, whatever the seeds.
"""

from __future__ import annotations

import random
from typing import Any, Literal

import pandas as pd

from tokencredit.data.tasks import TASKS, Problem
from tokencredit.errors import UserError
from tokencredit.seeds import derive_seed

Split = Literal["pretrain", "train", "test"]

# Tenths of all texts: enough test problems, and most of the texts for pretraining.
_SPLIT_OF_TENTH: tuple[Split, ...] = ("test", "train", "train", "train", *("pretrain",) * 6)


def generate_problems(
    tiers: list[int],
    rows: int,
    seed: int,
    split: Split,
    task: str = "word-problems",
    solutions: Literal["task", "english"] = "task",
) -> pd.DataFrame:
    """``rows`` different problems of ``split``, tiers in turn, with the columns of ``problems.parquet``.

    ``solution`` is one careful, correct worked solution, in the words of the task or in ordinary English; ``level`` is the tier. Raises
    ``UserError`` where a tier does not exist, and where the task has no English.
    """
    problems = sample_problems(tiers, rows, seed, split, task)
    if solutions == "english" and not hasattr(TASKS[task], "english_solution"):
        raise UserError(f"solutions = 'english': the embedded task {task} has no solutions in English.")
    return pd.DataFrame(
        {
            "problem_id": [f"{split}-{seed}-{index:06d}" for index in range(rows)],
            "problem": [problem.text for problem in problems],
            "answer": [str(problem.answer) for problem in problems],
            "source": "embedded",
            "level": [str(problem.tier) for problem in problems],
            "solution": [
                TASKS[task].english_solution(problem, rng)
                if solutions == "english"
                else TASKS[task].careful_solution(problem, rng, mistakes=False)
                for problem in problems
                for rng in [_solution_rng(seed, problem)]
            ],
        }
    )


def pretraining_texts(tiers: list[int], rows: int, seed: int, task: str = "word-problems") -> list[tuple[str, str]]:
    """(problem, solution) pairs of the pretraining split; the solutions are mixed as the task's shares say."""
    return [
        (problem.text, TASKS[task].sample_solution(problem, _solution_rng(seed, problem)))
        for problem in sample_problems(tiers, rows, seed, "pretrain", task)
    ]


def sample_problems(tiers: list[int], rows: int, seed: int, split: Split, task: str = "word-problems") -> list[Any]:
    """``rows`` problems of ``split`` with different texts; the tiers take turns, and a tier listed twice comes twice as often."""
    for tier in tiers:
        if tier not in TASKS[task].TIERS:
            known = ", ".join(map(str, TASKS[task].TIERS))
            raise UserError(f"tiers: {tier} is not a tier of the embedded task {task}; allowed: {known}.")
    problems: dict[str, Problem] = {}
    attempt = 0
    while len(problems) < rows:
        tier = tiers[len(problems) % len(tiers)]
        problem = TASKS[task].make_problem(tier, random.Random(derive_seed("embedded problem", seed, split, attempt)))
        attempt += 1
        if split_of(problem.text) == split:
            problems.setdefault(problem.text, problem)
        if attempt > 1000 + 100 * rows:
            raise UserError(
                f"rows = {rows}: tier {tier} of the embedded task {task} has not so many different problems."
            )
    return list(problems.values())


def split_of(text: str) -> Split:
    """The one split that a problem belongs to, by a hash of its text."""
    return _SPLIT_OF_TENTH[derive_seed("embedded split", text) % len(_SPLIT_OF_TENTH)]


def _solution_rng(seed: int, problem: Problem) -> random.Random:
    return random.Random(derive_seed("embedded solution", seed, problem.text))
