"""Stored responses graded again: what another grader said is found, and the old results stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.project import Project
from tokencredit import files

pytestmark = pytest.mark.workflow

EVAL = "results/smoke/eval/eapo/seed0"


def test_what_another_grader_said_is_found(done: Project) -> None:
    """The stored grades are those of a grader that took two right answers for wrong; the one that is installed does not."""
    path = done.folder / EVAL / "toy-tier1/grades.parquet"
    table = files.read_parquet(path)
    right = table.index[table["outcome"] == "right"][:2]
    table.loc[right, "outcome"] = "wrong"
    files.write_parquet(path, table, files.parquet_metadata(path) | {"grader": "math-verify 0.0"})
    score = ("--config", "config", "--study", "smoke", "--row", "eapo", "--seed", "0", "--data-dir", "results/data")
    scored = done.python(
        *("-m", "tokencredit.evaluate", "score", *score, "--eval-dir", EVAL, "--out", f"{EVAL}/scores.parquet")
    )
    assert scored.returncode == 0, scored.stdout
    shown = ("--config", "config", "--study", "smoke", "--results", "results", "--out", "results/smoke/tables")
    assert done.python("-m", "tokencredit.analysis", "tables", *shown).returncode == 0
    before = files.sha256(done.folder / "results")

    graded = done.python("-m", "tokencredit", "regrade", "--study", "smoke", "--out", "again", "--workers", "1")
    assert graded.returncode == 0, graded.stdout
    assert "2 of 320 grades changed" in graded.stdout
    counts = next(line.split() for line in graded.stdout.splitlines() if line.startswith("wrong"))
    assert counts == ["wrong", "right", "2"]
    moved = [line.split() for line in graded.stdout.splitlines() if line.startswith("eapo ")]
    cell = next(line for line in moved if line[1] == "toy-tier1" and "avg" in line)
    assert float(cell[-1]) - float(cell[-2]) == pytest.approx(100 * 2 / 32)
    assert files.sha256(done.folder / "results") == before
    assert (done.folder / "again/smoke/eval/eapo/seed0/toy-tier1/generations.parquet").is_symlink()

    refused = done.python("-m", "tokencredit", "regrade", "--study", "smoke", "--out", "results")
    assert refused.returncode == 2
    assert "results: is there already" in refused.stdout


def test_the_same_grader_changes_nothing(done: Project) -> None:
    asked = ("-m", "tokencredit", "regrade", "--study", "smoke", "--out", "again", "--workers", "1")
    grades = done.folder / EVAL / "toy-tier1/grades.parquet"
    whole = grades.read_bytes()
    grades.write_bytes(whole[: len(whole) // 2])
    refused = done.python(*asked)
    assert refused.returncode == 2
    assert "toy-tier1/grades.parquet: cannot be read as Parquet, it may be truncated" in refused.stdout
    assert not [path.name for path in done.folder.iterdir() if "again" in path.name]

    grades.write_bytes(whole)
    shown = done.folder / "results/smoke/tables/table1.csv"
    for path, spoil, sentence in (
        (grades, lambda path: files.write_parquet(path, files.read_parquet(path).iloc[1:]), "31 rows, 32 are expected"),
        (
            shown,
            lambda path: path.write_bytes(path.read_bytes() + b"\n"),
            "was not made from the records that stand there now",
        ),
        (shown, Path.unlink, "table1.csv: no such file"),
    ):
        kept = path.read_bytes()
        spoil(path)
        refused = done.python(*asked)
        assert refused.returncode == 2
        assert sentence in refused.stdout
        assert not [path.name for path in done.folder.iterdir() if "again" in path.name]
        path.write_bytes(kept)

    graded = done.python(*asked)
    assert graded.returncode == 0, graded.stdout
    assert "0 of 320 grades changed" in graded.stdout
    assert "no cell of any table moved" in graded.stdout
