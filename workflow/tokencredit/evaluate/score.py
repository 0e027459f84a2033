"""Per-question scores from grades, under the count contract: n responses to every problem, no more, no fewer, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files, provenance
from tokencredit.config import Row, Study
from tokencredit.errors import UserError
from tokencredit.evaluate.contract import COLUMNS, read_problems
from tokencredit.evaluate.counts import check_counts
from tokencredit.evaluate.votes import maj_at_k, undecided_pairs
from tokencredit.grading import GradingPool
from tokencredit.records import DEFAULT
from tokencredit.study.paths import AnswersFolder, DatasetFolder

OUTCOMES = ("right", "wrong", "ungraded")
FINISH_REASONS = ("stop", "length")
# What must be the same in all generations of a row: they are one model's, and one line of a table.
SAME_IN_A_ROW = ("study", "row", "seed", "model", "model_sha256", "prompt_sha256", "sampling", "engine", "dtype")


def score_questions(
    problem_ids: list[str],
    samples: int,
    generations: pd.DataFrame,
    grades: pd.DataFrame,
    where: str,
    pool: GradingPool,
) -> pd.DataFrame:
    """One row per question: problem_id, n, right, wrong, ungraded, truncated (counts), tokens (mean per response), majority (Maj@n).

    ``where``, the folder of both tables, names them in errors. ``pool`` compares wrong answers with each other, where that decides a
    majority. Raises ``UserError`` where the count contract is broken.
    """
    for name, table in (("generations", generations), ("grades", grades)):
        check_counts(f"{where}/{name}.parquet", table, problem_ids, samples)
    _check_values(f"{where}/generations.parquet: finish_reason", generations["finish_reason"], FINISH_REASONS)
    _check_values(f"{where}/grades.parquet: outcome", grades["outcome"], OUTCOMES)
    joined = generations.merge(grades, on=["problem_id", "sample"], validate="one_to_one")
    joined["truncated"] = joined["finish_reason"] == "length"
    for outcome in OUTCOMES:
        joined[outcome] = joined["outcome"] == outcome
    answers = joined["answer"].astype(object)
    joined["answer"] = answers.where(answers.notna(), None)
    groups = joined.groupby("problem_id", sort=False)
    table = groups[[*OUTCOMES, "truncated"]].sum().astype("int64")
    table.insert(0, "n", groups.size().astype("int64"))
    table["tokens"] = groups["n_tokens"].mean()
    said = {name: (group["answer"].tolist(), group["outcome"].tolist()) for name, group in groups}
    pairs = {name: undecided_pairs(*votes) for name, votes in said.items()}
    equal = _equal({pair for found in pairs.values() for pair in found}, pool)
    table["majority"] = [maj_at_k(*said[name], [pair for pair in pairs[name] if pair in equal]) for name in table.index]
    return table.loc[problem_ids].reset_index()


def _equal(pairs: set[tuple[str, str]], pool: GradingPool) -> set[tuple[str, str]]:
    """The pairs whose answers are equal: the second is right where the first is the gold."""
    ordered = sorted(pairs)
    grades = pool.grade_many([(one, rf"\boxed{{{other}}}") for one, other in ordered])
    return {pair for pair, grade in zip(ordered, grades, strict=True) if grade.outcome == "right"}


def score_row(
    study: Study, row: Row, eval_dir: Path, data_dir: Path, workers: int = 1
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The scores of one row of a study on all its benchmarks, and their metadata (one entry per benchmark).

    ``workers``: processes that compare wrong answers with each other.
    Reads ``<eval_dir>/<benchmark>/{generations,grades}.parquet`` and ``<data_dir>/<dataset>/problems.parquet``.
    """
    tables, metadata = [], {}
    for name, benchmark in study.benchmarks.items():
        folder = eval_dir / name
        generations_path, grades_path = AnswersFolder(folder).generations, AnswersFolder(folder).grades
        problems_path = DatasetFolder(data_dir / benchmark.dataset).problems
        problems = read_problems(problems_path, study, name)
        stored = files.parquet_metadata(generations_path)
        graded = files.parquet_metadata(grades_path)
        _check_origin(study, row, name, stored, generations_path)
        if stored["data_sha256"] != files.sha256(problems_path):
            raise UserError(
                f"{generations_path}: was made from other problems than {problems_path}; generate it again."
            )
        generations_sha256 = files.sha256(generations_path)
        if graded.get("generations_sha256") != generations_sha256:
            raise UserError(f"{grades_path}: grades other generations than {generations_path}; grade it again.")
        if graded.get("problems_sha256") != stored["data_sha256"]:
            raise UserError(f"{grades_path}: was graded by other problems than {problems_path}; grade it again.")
        by = graded.get("grading", {}).get("by", DEFAULT)
        if by != study.grader_of(name):
            raise UserError(
                f"{grades_path}: was graded by {by!r}; {study.grader_of(name)!r} is expected. Grade it again."
            )
        with GradingPool(workers, grader=study.grader_of(name)) as pool:
            scores = score_questions(
                [problem.problem_id for problem in problems],
                benchmark.samples,
                files.read_parquet(generations_path, COLUMNS),
                files.read_parquet(grades_path, ["problem_id", "sample", "outcome", "answer", "reason"]),
                str(folder),
                pool,
            )
        for position, (column, value) in enumerate(
            {"study": study.name, "row": row.name, "seed": row.seed, "benchmark": name}.items()
        ):
            scores.insert(position, column, value)
        tables.append(scores)
        metadata[name] = {
            **graded,
            **stored,
            "generations_sha256": generations_sha256,
            "grades_sha256": files.sha256(grades_path),
        }
    first = next(iter(metadata.values()))
    for name, entry in metadata.items():
        for key in SAME_IN_A_ROW:
            if entry[key] != first[key]:
                raise UserError(
                    f"{eval_dir / name}: {key} = {entry[key]!r} differs from the row's other benchmarks ({first[key]!r})."
                )
    return pd.concat(tables, ignore_index=True), {
        "study": study.name,
        "row": row.name,
        "seed": row.seed,
        "benchmarks": metadata,
        "code_digest": provenance.code_digest("evaluate.score"),
    }


def _check_origin(study: Study, row: Row, benchmark: str, stored: dict[str, Any], path: Path) -> None:
    expected = {
        "study": study.name,
        "row": row.name,
        "seed": row.seed,
        "benchmark": benchmark,
        "sampling": study.evaluation.sampling.model_dump(mode="json"),
        "engine": study.evaluation.engine,
        "config_digest": files.digest_of(study.evaluation_config(row, benchmark)),
    }
    for key, value in expected.items():
        if stored.get(key) != value:
            raise UserError(f"{path}: {key} = {stored.get(key)!r} in its metadata; {value!r} is expected.")


def _check_values(where: str, column: pd.Series, allowed: tuple[str, ...]) -> None:
    wrong = column[~column.isin(allowed)]
    if len(wrong):
        raise UserError(f"{where} = {wrong.iloc[0]!r} is not known; allowed: {', '.join(allowed)}.")
