"""The table of grades of a table of generations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files, provenance
from tokencredit.errors import UserError
from tokencredit.evaluate.counts import check_counts
from tokencredit.grading.extract import MAX_ANSWER
from tokencredit.grading.pool import GradingPool
from tokencredit.records import problems_from

COLUMNS = ["problem_id", "sample", "outcome", "answer", "reason"]


def grade_generations(generations: Path, problems: Path, pool: GradingPool) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One row per generation, in its order (columns ``COLUMNS``), and the metadata: the generations' own, the grader and its settings.

    Checked here: as many responses to each problem as the generations say. Whether all problems of the study are there is checked when
    they are scored. Raises ``UserError`` if a count is wrong.
    """
    table = files.read_parquet(generations, ["problem_id", "sample", "response"])
    gold = {problem.problem_id: problem.answer for problem in problems_from(files.read_parquet(problems))}
    unknown = table["problem_id"][~table["problem_id"].isin(gold.keys())]
    if len(unknown):
        raise UserError(f"{generations}: problem_id = {unknown.iloc[0]!r} does not occur in {problems}.")
    stored = files.parquet_metadata(generations)
    if "samples" not in stored:
        raise UserError(f"{generations}: does not say how many responses to each problem it holds; generate it again.")
    check_counts(generations, table, table["problem_id"].unique().tolist(), stored["samples"])
    pairs = [(gold[row.problem_id], row.response) for row in table.itertuples(index=False)]
    grades = pool.grade_many(pairs, progress=True)
    graded = table[["problem_id", "sample"]].assign(
        outcome=[grade.outcome for grade in grades],
        answer=pd.Series([grade.answer for grade in grades], dtype=object, index=table.index),
        reason=pd.Series([grade.reason for grade in grades], dtype=object, index=table.index),
    )
    return graded[COLUMNS], {
        **stored,
        "grader": pool.label,
        "grading": {"by": pool.grader, "box": "required", "timeout_s": pool.timeout, "max_answer": MAX_ANSWER},
        "grading_code_digest": provenance.code_digest("evaluate.grade"),
        "generations_sha256": files.sha256(generations),
        "problems_sha256": files.sha256(problems),
    }
