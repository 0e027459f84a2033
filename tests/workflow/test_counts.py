"""A row too few, a row too many, half a file: the stage that reads it names the file and the counts, and no table is made from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.workflow.project import Project
from tokencredit import files
from tokencredit.analysis.__main__ import app as analysis
from tokencredit.errors import UserError
from tokencredit.evaluate.__main__ import app as evaluate

pytestmark = pytest.mark.workflow

ROW, RUN, PROBLEMS = "smoke/eval/eapo/seed0", "smoke/runs/grpo/seed0", "data/toy-tier1/problems.parquet"
GENERATIONS, GRADES, SCORES = (
    f"{ROW}/toy-tier1/generations.parquet",
    f"{ROW}/toy-tier1/grades.parquet",
    f"{ROW}/scores.parquet",
)

Spoil = Callable[[Path], None]


def rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Spoil:
    """Change the rows of a Parquet table, and leave what it says of itself."""
    return lambda path: files.write_parquet(path, change(files.read_parquet(path)), files.parquet_metadata(path))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_line(path: Path) -> None:
    first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(rest) if first else "", encoding="utf-8")


lost = rows(lambda table: table.iloc[1:])
doubled = rows(lambda table: pd.concat([table, table.iloc[:1]]))
problem_lost = rows(lambda table: table[table["problem_id"] != table["problem_id"].iloc[0]])


def run(results: Path, stage: str) -> UserError | None:
    """What a stage says on its command line: the error it ends with, None where it ends well."""
    study = ["--config", str(results.parent / "config"), "--study", "smoke"]
    shown = [*study, "--results", str(results), "--out", str(results / "again"), "--only"]
    app, arguments = {
        "grade": (
            evaluate,
            *(["grade", "--generations", GENERATIONS, "--problems", PROBLEMS, "--out", GRADES, "--workers", "1"],),
        ),
        "score": (
            evaluate,
            ["score", *study, "--row", "eapo", "--seed", "0", "--eval-dir", ROW, "--data-dir", "data", "--out", SCORES],
        ),
        "table1": (analysis, ["tables", *shown, "table1"]),
        "figure4": (analysis, ["figures", *shown, "figure4"]),
        "figure6": (analysis, ["figures", *shown, "figure6"]),
    }[stage]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 or isinstance(done.exception, UserError), done.output
    return done.exception


@pytest.fixture
def results(done: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(done.folder / "results")
    return done.folder / "results"


@pytest.mark.parametrize(
    ("path", "spoil", "stage", "sentence"),
    [
        (GENERATIONS, lost, "grade", "31 rows, 32 are expected: 4 of each problem"),
        (GENERATIONS, doubled, "grade", "33 rows, 32 are expected: 4 of each problem"),
        (GENERATIONS, half, "grade", "cannot be read as Parquet, it may be truncated"),
        (GENERATIONS, half, "score", "cannot be read as Parquet, it may be truncated"),
        (GRADES, lost, "score", "31 rows, 32 are expected: 4 of each problem"),
        (GRADES, doubled, "score", "33 rows, 32 are expected: 4 of each problem"),
        (GRADES, half, "score", "cannot be read as Parquet, it may be truncated"),
        (PROBLEMS, lost, "score", "has 199 problems; benchmarks.toy-tier1.problems = 200"),
        (SCORES, lost, "table1", "toy-tier1: 7 questions (7 different) with [4] responses; the study asks for 8 with 4"),
        (SCORES, doubled, "table1", "toy-tier1: 9 questions (8 different) with [4] responses; the study asks for 8 with 4"),
        (SCORES, rows(lambda table: table.assign(right=0)), "table1", "are not n together"),
        (SCORES, half, "table1", "cannot be read as Parquet, it may be truncated"),
        (GENERATIONS, lost, "table1", "has changed since "),
        (GRADES, doubled, "table1", "has changed since "),
        (f"{RUN}/metrics.jsonl", without_line, "figure6", "2 lines (2 different steps); the study asks for 3"),
        (f"{RUN}/rollouts.parquet", half, "figure4", "cannot be read as Parquet, it may be truncated"),
        (f"{RUN}/rollouts.parquet", lost, "figure4", "is not the file that "),
        (f"{RUN}/probe.parquet", doubled, "figure6", "is not the file that "),
    ],
)  # fmt: skip
def test_a_spoiled_file_is_named_with_its_counts(
    results: Path, path: str, spoil: Spoil, stage: str, sentence: str
) -> None:
    assert run(results, stage) is None
    spoil(results / path)
    made = {name: (results / name).read_bytes() for name in (GRADES, SCORES)}
    error = str(run(results, stage))
    assert f"{path}: " in error
    assert sentence in error
    assert made == {name: (results / name).read_bytes() for name in made}


def test_a_problem_without_any_response_is_missed_when_it_is_scored(results: Path) -> None:
    problem_lost(results / GENERATIONS)
    assert run(results, "grade") is None
    assert f"{GENERATIONS}: 28 rows, 32 are expected: 4 of each problem" in str(run(results, "score"))


def test_a_table_on_a_changed_file_is_found_out(done: Project) -> None:
    """Snakemake grades the changed responses again, which fails; the table from before stands, and its trace says on what."""
    asked = ("-m", "tokencredit", "trace", "results/smoke/tables/table1.csv", "eapo", "toy-tier1")
    before = done.python(*asked)
    assert before.returncode == 0, before.stdout

    lost(done.folder / "results" / GENERATIONS)
    made = done.run("--config", "study=smoke")
    assert made.returncode != 0
    log = done.folder / "results/logs/grade/smoke/eapo/seed0/toy-tier1.log"
    assert f"results/{GENERATIONS}: 31 rows, 32 are expected" in log.read_text(encoding="utf-8")

    after = done.python(*asked)
    assert after.returncode == 1
    assert f"results/{GENERATIONS}: has changed: sha256 " in after.stdout
    other = done.python(*asked[:4], "phr", "toy-tier2")
    assert other.returncode == 0, other.stdout
