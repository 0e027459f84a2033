"""Preparing a data set: drop rows without an answer, resolve repeats, check counts, write Parquet and manifest.

Training sets and benchmarks are treated differently. A training set keeps one copy of a problem, and no copy of a problem that occurs
with conflicting answers: one of them is wrong, and the reward would be noise. A benchmark is never changed, so that its numbers stay
comparable: repeats and conflicts are only reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.config import Config, FileDataset
from tokencredit.data import MANIFEST, PROBLEMS
from tokencredit.data.rows import Row
from tokencredit.data.sources import chosen, open_source
from tokencredit.data.text import folded_answer, folded_problem
from tokencredit.errors import UserError

NO_ANSWER, DUPLICATE, CONFLICT = "no answer", "duplicate", "conflicting answers"


@dataclass
class Cleaned:
    """The rows that are kept, and what was seen on the way.

    ``duplicates``: rows that repeat an earlier row's problem; ``conflicting``: problems with more than one answer.
    """

    rows: list[Row]
    read: int
    duplicates: int
    conflicting: int
    dropped: dict[str, int]


@dataclass
class _Problem:
    answers: set[str] = field(default_factory=set)
    copies: int = 0


def clean(rows: Iterable[Row], is_benchmark: bool) -> Cleaned:
    """Settle missing answers, repeats and conflicts as the module says; ``rows`` is read once and need not fit in memory."""
    problems: dict[str, _Problem] = {}
    kept: list[tuple[_Problem, Row]] = []
    read = no_answer = 0
    for row in rows:
        read += 1
        if not row.answer.strip() or not row.problem.strip():
            no_answer += 1
            continue
        problem = problems.setdefault(folded_problem(row.problem), _Problem())
        problem.answers.add(folded_answer(row.answer))
        problem.copies += 1
        if is_benchmark or problem.copies == 1:
            kept.append((problem, row))
    conflicting = [problem for problem in problems.values() if len(problem.answers) > 1]
    duplicates = sum(problem.copies - 1 for problem in problems.values())
    dropped = {NO_ANSWER: no_answer}
    if is_benchmark:
        left = [row for _, row in kept]
    else:
        left = [row for problem, row in kept if len(problem.answers) == 1]
        dropped[CONFLICT] = sum(problem.copies for problem in conflicting)
        dropped[DUPLICATE] = read - no_answer - dropped[CONFLICT] - len(left)
    return Cleaned(left, read, duplicates, len(conflicting), {why: count for why, count in dropped.items() if count})


def prepare(config: Config, name: str, out: Path, data_root: Path | None) -> list[Path]:
    """Write ``problems.parquet`` and, last, ``manifest.json`` of data set ``name`` to the folder ``out``.

    Raises ``UserError`` for an unknown data set, a missing, damaged or unexpected source, and a count that ``benchmarks.yaml`` contradicts.
    """
    if name not in config.datasets:
        raise UserError(
            f"{name} is not a data set of {config.folder / 'datasets.yaml'}; allowed: {', '.join(config.datasets)}."
        )
    dataset = config.datasets[name]
    benchmarks = {key: value for key, value in config.benchmarks.items() if value.dataset == name}
    source = open_source(name, dataset, data_root)
    cleaned = clean(chosen(source.rows, dataset), is_benchmark=bool(benchmarks))
    for key, benchmark in benchmarks.items():
        if benchmark.problems != len(cleaned.rows):
            raise UserError(
                f"{config.folder / 'benchmarks.yaml'}: benchmarks.{key}.problems = {benchmark.problems}: data set {name} from "
                f"{source.place} has {len(cleaned.rows)} problems with an answer."
            )
    if not cleaned.rows:
        raise UserError(
            f"{source.place}: data set {name} has no problem to use: of {cleaned.read} rows "
            f"{' and '.join(f'{count} have {why}' for why, count in cleaned.dropped.items()) or 'none is there'}."
        )
    table = pd.DataFrame([vars(row) for row in cleaned.rows])
    about: dict[str, Any] = {
        "dataset": name,
        "source": source.place,
        "origin": source.origin,
        "revision": source.revision,
        "file_sha256": source.file_sha256,
        "licence": dataset.licence if isinstance(dataset, FileDataset) else None,
        "rows_read": cleaned.read,
        "rows": len(table),
        "dropped": cleaned.dropped,
        "duplicates": cleaned.duplicates,
        "conflicting": cleaned.conflicting,
    }
    problems, manifest = out / PROBLEMS, out / MANIFEST
    # Text columns stay text where every value is missing.
    files.write_parquet(problems, table.astype("string"), about)
    files.write_json(manifest, about | {"sha256": files.sha256(problems)})
    return [problems, manifest]
