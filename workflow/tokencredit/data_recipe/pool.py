"""The rows that a data recipe chooses from: solutions to problems, each with the source that it came from."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tokencredit import files
from tokencredit.config import EmbeddedPool, FilePool
from tokencredit.data.embedded import sample_problems
from tokencredit.data.tasks import TASKS
from tokencredit.data.words import words
from tokencredit.errors import UserError
from tokencredit.seeds import derive_seed

COLUMNS = ["source", "prompt", "response"]
COPIES = 10  # rows of a problem of the source "duplicate"
_BOX = re.compile(r"\\boxed\{ ((?:\d+, )*\d+)\}")
_SLIPS = (-10, -2, -1, 1, 2, 10)


def embedded_pool(pool: EmbeddedPool, task: str) -> pd.DataFrame:
    """The rows of a pool of generated problems (columns ``COLUMNS``), in random order.

    Every row is about a problem of its own, those of the source "duplicate" aside. ``UserError`` where a tier has too few problems.
    """
    counts = {
        "right": pool.right,
        "wrong-answer": pool.wrong_answer,
        "wrong-format": pool.wrong_format,
        "duplicate": -(-pool.duplicate // COPIES),
        "other-task": pool.other_task,
    }
    problems = iter(sample_problems(pool.tiers, sum(counts.values()), pool.seed, "train", task))
    rows: list[tuple[str, str, str]] = []
    for source, count in counts.items():
        for problem in (next(problems) for _ in range(count)):
            copies = COPIES if source == "duplicate" else 1
            for copy in range(copies):
                # Every other copy is the first again, word by word.
                drawn = random.Random(derive_seed("pool solution", pool.seed, problem.text, copy * (copy % 2)))
                solution = TASKS[task].careful_solution(problem, drawn, mistakes=False)
                rows.append((source, *_row(source, problem.text, solution, TASKS[task].LARGEST, drawn)))
    surplus = counts["duplicate"] * COPIES - pool.duplicate
    last = max((place for place, row in enumerate(rows) if row[0] == "duplicate"), default=0)
    del rows[last + 1 - surplus : last + 1]
    random.Random(derive_seed("pool order", pool.seed)).shuffle(rows)
    return pd.DataFrame(rows, columns=COLUMNS)


def read_pool(pool: FilePool, data_root: Path | None) -> pd.DataFrame:
    """The rows of a Parquet file under the data root. ``UserError`` for another file than is pinned, or a value that is no text."""
    if data_root is None:
        raise UserError(f"data_recipe.pool.file = {pool.file!r}: TOKENCREDIT_DATA names no folder to read it from.")
    path = data_root / pool.file
    found = files.sha256(path)
    if found != pool.sha256:
        raise UserError(f"{path}: its sha256 is {found}; data_recipe.pool.sha256 = {pool.sha256!r}.")
    table = files.read_parquet(path, COLUMNS)
    if len(table) != pool.rows:
        raise UserError(f"{path}: has {len(table)} rows; data_recipe.pool.rows = {pool.rows}.")
    for column in COLUMNS:
        odd = table[column].map(lambda value: not isinstance(value, str) or not value.strip())
        if odd.any():
            raise UserError(
                f"{path}: {column} of row {odd.idxmax()} is {table[column][odd.idxmax()]!r}; a text is needed."
            )
    return table


def without_problems(rows: pd.DataFrame, problems: Iterable[str]) -> pd.DataFrame:
    """``rows`` without those whose prompt has the words of one of ``problems``: what is validated and tested on is not trained on."""
    known = {words(problem) for problem in problems}
    return rows[[words(prompt) not in known for prompt in rows["prompt"]]].reset_index(drop=True)


def _row(source: str, problem: str, solution: str, largest: int, rng: random.Random) -> tuple[str, str]:
    """Prompt and response."""
    if source == "other-task":
        told = problem.split(" ")
        half = len(told) // 2
        return " ".join(told[:half]), " " + " ".join(told[half:])
    if source == "wrong-answer":
        *others, answer = map(int, _BOX.search(solution)[1].split(", "))
        wrong = rng.choice([answer + slip for slip in _SLIPS if 0 <= answer + slip <= largest])
        said = ", ".join(map(str, [*others, wrong]))
        return problem, _BOX.sub(lambda _: rf"\boxed{{ {said}}}", solution)
    if source == "wrong-format":
        return problem, _BOX.sub(lambda box: box[1], solution)
    return problem, solution
