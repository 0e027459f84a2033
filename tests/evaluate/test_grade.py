"""The command that grades a table of generations."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.evaluate.__main__ import app
from tokencredit.grading import GRADERS


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    table = pd.DataFrame({"problem_id": ["p0", "p1"], "problem": "?", "answer": ["5", "1,000"]})
    files.write_parquet(tmp_path / "problems.parquet", table)
    return tmp_path / "problems.parquet"


def test_grade_command(problems: Path, tmp_path: Path) -> None:
    rows = [("p0", 0, r"\boxed{5}"), ("p0", 1, r"\boxed{6}"), ("p1", 0, "1000"), ("p1", 1, r"\boxed{\frac}")]
    table = pd.DataFrame(rows, columns=["problem_id", "sample", "response"])
    files.write_parquet(tmp_path / "generations.parquet", table, {"row": "base", "code_digest": "abc", "samples": 2})
    out = tmp_path / "grades.parquet"
    arguments = [
        "grade",
        "--generations",
        str(tmp_path / "generations.parquet"),
        "--problems",
        str(problems),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    grades = files.read_parquet(out)
    assert grades[["problem_id", "sample"]].to_numpy().tolist() == table[["problem_id", "sample"]].to_numpy().tolist()
    assert grades["outcome"].tolist() == ["right", "wrong", "wrong", "ungraded"]
    assert grades["answer"].isna().tolist() == [False, False, True, False]
    assert grades["reason"].isna().tolist() == [True, True, False, False]
    metadata = files.parquet_metadata(out)
    assert (metadata["row"], metadata["code_digest"], metadata["grader"]) == ("base", "abc", GRADERS["math"].label())
    assert metadata["grading"]["by"] == "math"
    assert metadata["generations_sha256"] == files.sha256(tmp_path / "generations.parquet")

    files.write_parquet(tmp_path / "generations.parquet", table.iloc[1:], {"samples": 2})
    done = CliRunner().invoke(app, arguments)
    assert "generations.parquet: 3 rows, 4 are expected: 2 of each problem. 'p0' has 1" in str(done.exception)
    assert files.read_parquet(out).equals(grades)


def test_grade_command_names_an_unknown_problem(problems: Path, tmp_path: Path) -> None:
    table = pd.DataFrame([("q", 0, r"\boxed{5}")], columns=["problem_id", "sample", "response"])
    files.write_parquet(tmp_path / "generations.parquet", table)
    arguments = [
        "grade",
        "--generations",
        str(tmp_path / "generations.parquet"),
        "--problems",
        str(problems),
        "--out",
        str(tmp_path / "g"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UserError)
    assert "problem_id = 'q'" in str(done.exception)
