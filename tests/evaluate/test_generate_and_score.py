"""Generation is paired between rows, and scoring keeps the count contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tokencredit import files
from tokencredit.config import Study
from tokencredit.errors import UserError
from tokencredit.evaluate.contract import COLUMNS, read_problems
from tokencredit.evaluate.generate import generate_responses, generation_metadata
from tokencredit.evaluate.score import score_questions, score_row
from tokencredit.grading import GradingPool

IDS = ["a", "b"]
POOL = GradingPool()  # starts no worker for plain numbers


@pytest.fixture
def generations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "sample": [0, 1, 0, 1],
            "response": ["\\boxed{2}", "\\boxed{3}", "?", "\\boxed{0}"],
            "n_tokens": [4, 6, 10, 2],
            "finish_reason": ["stop", "stop", "length", "stop"],
            "sampling_seed": [1, 2, 3, 4],
        }
    )


@pytest.fixture
def grades() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "sample": [1, 0, 0, 1],
            "outcome": ["wrong", "right", "ungraded", "right"],
            "answer": ["3", "2", None, "0"],
            "reason": [None, None, "no answer", None],
        }
    )


def test_scores_of_a_question(generations: pd.DataFrame, grades: pd.DataFrame) -> None:
    table = score_questions(IDS, 2, generations, grades, "here", POOL).set_index("problem_id")
    assert table.loc["a"].to_dict() == {
        "n": 2,
        "right": 1,
        "wrong": 1,
        "ungraded": 0,
        "truncated": 0,
        "tokens": 5,
        "majority": 0.5,
    }
    assert table.loc["b"].to_dict() == {
        "n": 2,
        "right": 1,
        "wrong": 0,
        "ungraded": 1,
        "truncated": 1,
        "tokens": 6,
        "majority": 1,
    }


@pytest.mark.parametrize("which", ["generations", "grades"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:-1], "3 rows, 4 are expected: 2 of each problem. 'b' has 1; 1 of 2 problems are off"),
        (lambda t: t[t.problem_id == "a"], "2 rows, 4 are expected.* 'b' has 0"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "5 rows, 4 are expected.* 'a' has 3"),
        (lambda t: t.assign(problem_id=["a", "a", "b", "z"]), "'z' .* is not in the data set"),
        (lambda t: t.assign(sample=0), "numbered 0 to 1"),
        (lambda t: t.assign(sample=[0, 2, 0, 1]), "numbered 0 to 1"),
    ],
)
def test_the_count_contract(
    which: str, change: Any, message: str, generations: pd.DataFrame, grades: pd.DataFrame
) -> None:
    tables = {"generations": generations, "grades": grades}
    tables[which] = change(tables[which])
    with pytest.raises(UserError, match=f"here/{which}.parquet: .*{message}"):
        score_questions(IDS, 2, tables["generations"], tables["grades"], "here", POOL)


def test_unknown_words_are_refused(generations: pd.DataFrame, grades: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="finish_reason = 'abort' is not known; allowed: stop, length"):
        score_questions(IDS, 2, generations.assign(finish_reason="abort"), grades, "here", POOL)
    with pytest.raises(UserError, match="outcome = 'maybe' is not known"):
        score_questions(IDS, 2, generations, grades.assign(outcome="maybe"), "here", POOL)


def test_generation_is_paired_and_keeps_braces(study: Study, data_dir: Path, tokenizer: Any, engine: Any) -> None:
    problems = read_problems(data_dir / "sums" / "problems.parquet", study, "sums")
    arguments = (tokenizer, "Q: {problem} \\boxed{}", problems, 2, study.evaluation.sampling, 5, "sums", 100)
    table = generate_responses(engine, *arguments)
    assert list(table.columns) == COLUMNS
    assert table["problem_id"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert table["sampling_seed"].is_unique
    assert generate_responses(engine, *arguments)["sampling_seed"].tolist() == table["sampling_seed"].tolist()
    assert engine.requests[0].prompt_tokens == (2, 1, 1, 1, 8)
    assert (table["finish_reason"] == "length").tolist() == (table["sampling_seed"] % 2 == 1).tolist()


def test_a_prompt_that_leaves_less_room_has_shorter_responses(
    study: Study, data_dir: Path, tokenizer: Any, engine: Any
) -> None:
    """The last problem has a token less than the others, and the model has room for 10 tokens after that one's prompt only."""
    problems = read_problems(data_dir / "sums" / "problems.parquet", study, "sums")
    arguments = (tokenizer, "{problem}", problems, 4, study.evaluation.sampling, 5, "sums")
    table = generate_responses(engine, *arguments, 12)
    longest = table[table["finish_reason"] == "length"].groupby("problem_id")["n_tokens"].max().to_dict()
    assert longest == {"a": 9, "b": 9, "c": 10}
    assert table["sampling_seed"].tolist() == generate_responses(engine, *arguments, 100)["sampling_seed"].tolist()
    with pytest.raises(UserError, match="sums: a prompt has 3 tokens; the model has 3 positions"):
        generate_responses(engine, *arguments, 3)


def test_a_long_prompt_names_the_problem(study: Study, data_dir: Path, tokenizer: Any, engine: Any) -> None:
    problems = read_problems(data_dir / "sums" / "problems.parquet", study, "sums")
    with pytest.raises(UserError, match=r"problem a: its prompt has 42 tokens; sampling.max_prompt_tokens = 40"):
        generate_responses(
            engine, tokenizer, "word " * 39 + "{problem}", problems, 2, study.evaluation.sampling, 5, "sums", 100
        )


def test_wrong_number_of_problems(study: Study, data_dir: Path) -> None:
    path = data_dir / "sums" / "problems.parquet"
    files.write_parquet(path, files.read_parquet(path).iloc[:2])
    with pytest.raises(UserError, match=r"has 2 problems; benchmarks.sums.problems = 3"):
        read_problems(path, study, "sums")


@pytest.fixture
def evaluated(study: Study, data_dir: Path, tokenizer: Any, engine: Any, tmp_path: Path) -> Path:
    """The evaluation folder of the base, as ``generate`` and ``grade`` leave it."""
    row = study.row("base", 0)
    path = data_dir / "sums" / "problems.parquet"
    problems = read_problems(path, study, "sums")
    prompt = study.config.models["small"].prompt
    table = generate_responses(
        engine, tokenizer, prompt, problems, 2, study.evaluation.sampling, study.evaluation.seed, "sums", 100
    )
    files.write_json(tmp_path / "model" / "model.json", {})
    metadata = generation_metadata(study, row, "sums", tmp_path / "model", path, "cpu")
    generations = tmp_path / "eval" / "sums" / "generations.parquet"
    files.write_parquet(generations, table, metadata)
    graded = metadata | {"grader": "test 1", "generations_sha256": files.sha256(generations)}
    graded |= {"problems_sha256": files.sha256(path)}
    grades = table[["problem_id", "sample"]].assign(outcome="right", answer="2", reason=None)
    files.write_parquet(tmp_path / "eval" / "sums" / "grades.parquet", grades, graded)
    return tmp_path / "eval"


def test_a_row_is_scored_with_its_origin(study: Study, data_dir: Path, evaluated: Path) -> None:
    table, metadata = score_row(study, study.row("base", 0), evaluated, data_dir)
    assert table[["study", "row", "seed", "benchmark"]].drop_duplicates().to_numpy().tolist() == [
        ["small", "base", 0, "sums"]
    ]
    assert table["right"].tolist() == [2, 2, 2]
    assert metadata["benchmarks"]["sums"]["grader"] == "test 1"
    assert metadata["benchmarks"]["sums"]["sampling"]["temperature"] == 0.6
    assert len(metadata["benchmarks"]["sums"]["data_sha256"]) == 64


def test_grades_of_other_generations_are_refused(study: Study, data_dir: Path, evaluated: Path) -> None:
    path = evaluated / "sums" / "generations.parquet"
    files.write_parquet(path, files.read_parquet(path).assign(response="other"), files.parquet_metadata(path))
    with pytest.raises(UserError, match="grades other generations than"):
        score_row(study, study.row("base", 0), evaluated, data_dir)


def test_grades_by_other_problems_are_refused(study: Study, data_dir: Path, evaluated: Path) -> None:
    path = evaluated / "sums" / "grades.parquet"
    files.write_parquet(path, files.read_parquet(path), files.parquet_metadata(path) | {"problems_sha256": "0" * 64})
    with pytest.raises(UserError, match="was graded by other problems than"):
        score_row(study, study.row("base", 0), evaluated, data_dir)


def test_another_rows_generations_are_refused(study: Study, data_dir: Path, evaluated: Path) -> None:
    with pytest.raises(UserError, match="row = 'base' in its metadata; 'grpo' is expected"):
        score_row(study, study.row("grpo", 0), evaluated, data_dir)


def test_changed_problems_are_refused(study: Study, data_dir: Path, evaluated: Path) -> None:
    path = data_dir / "sums" / "problems.parquet"
    files.write_parquet(path, files.read_parquet(path).assign(answer="1"))
    with pytest.raises(UserError, match="made from other problems"):
        score_row(study, study.row("base", 0), evaluated, data_dir)
