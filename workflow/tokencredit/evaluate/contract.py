"""The count contract: which problems of a benchmark a study uses, and how many responses to each a table must hold."""

from __future__ import annotations

from pathlib import Path

from tokencredit import files
from tokencredit.config import Study
from tokencredit.errors import UserError
from tokencredit.records import Problem, problems_from

COLUMNS = ["problem_id", "sample", "response", "n_tokens", "finish_reason", "sampling_seed"]


def read_problems(path: str | Path, study: Study, benchmark: str) -> list[Problem]:
    """The problems of a study's benchmark: the first so many as the study uses. A file of another length is a ``UserError``."""
    problems = problems_from(files.read_parquet(path, ["problem_id", "problem", "answer"]))
    expected = study.config.benchmarks[benchmark].problems
    if len(problems) != expected:
        raise UserError(f"{path}: has {len(problems)} problems; benchmarks.{benchmark}.problems = {expected}.")
    if len({problem.problem_id for problem in problems}) != len(problems):
        raise UserError(f"{path}: a problem_id occurs twice; every problem needs its own.")
    return problems[: study.benchmarks[benchmark].problems]
