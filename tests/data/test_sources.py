"""Sources, cleaning and preparation: pins hold, counts are told, and every bad source is one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import House, packed, record
from tokencredit import files
from tokencredit.config import Config
from tokencredit.data.prepare import clean, prepare
from tokencredit.data.rows import Row
from tokencredit.errors import UserError


def prepared(house: House, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    prepare(house.config, name, house.out / name, house.root)
    folder = house.out / name
    return files.read_parquet(folder / "problems.parquet"), files.read_json(folder / "manifest.json")


def row(number: int, problem: str, answer: str) -> Row:
    return Row(f"p/{number}", problem, answer, "test")


# ---------------------------------------------------------------- what is made


def test_table_and_manifest(house: House) -> None:
    house.pack("practice", [record(0, level=3, solution="0+1=1"), record(1, meta={"year": 2020})])
    table, manifest = prepared(house, "practice")
    assert table.columns.tolist() == ["problem_id", "problem", "answer", "source", "level", "solution"]
    assert table.iloc[0].tolist() == ["p/0", "What is 0 plus one?", "1", "practice", "3", "0+1=1"]
    assert table.iloc[1][["level", "solution"]].isna().all()
    assert manifest["sha256"] == files.sha256(house.out / "practice" / "problems.parquet")
    assert manifest["file_sha256"] == files.sha256(house.root / "practice.jsonl.gz")
    assert (manifest["dataset"], manifest["origin"], manifest["source"]) == (
        "practice",
        "data root",
        "practice.jsonl.gz",
    )
    assert (manifest["rows_read"], manifest["rows"], manifest["dropped"], manifest["revision"]) == (2, 2, {}, None)
    assert files.parquet_metadata(house.out / "practice" / "problems.parquet")["dataset"] == "practice"


def test_the_same_source_gives_the_same_file(house: House) -> None:
    _, first = prepared(house, "practice")
    _, second = prepared(house, "practice")
    assert first == second


def test_columns_are_text_even_when_empty(house: House) -> None:
    prepared(house, "exam")
    schema = pq.read_schema(house.out / "exam" / "problems.parquet")
    assert {str(kind) for kind in schema.types} <= {"string", "large_string"}


def test_generated_sets(tmp_path: Path, real_config: Config) -> None:
    prepare(real_config, "toy-tier2", tmp_path, None)
    manifest = files.read_json(tmp_path / "manifest.json")
    assert (manifest["origin"], manifest["rows"], manifest["duplicates"]) == ("generated", 200, 0)
    assert set(files.read_parquet(tmp_path / "problems.parquet")["level"]) == {"2"}


# ---------------------------------------------------------------- filters


STEPS = [
    record(0, level=1, solution="<<1+1=2>>2"),
    record(1, level="hard", solution="<<1+1=2>>2 and <<2+2=4>>4"),
    record(2, level=1, solution="no calculation"),
    record(3, level=1, solution="<<1+2=3>>3"),
    record(4),
]


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, "01234"),
        ({"level": ["1"]}, "023"),
        ({"level": ["1", "hard"]}, "0123"),
        ({"steps": 1}, "03"),
        ({"steps": 2}, "013"),
        ({"first": 3}, "012"),
        ({"level": ["1"], "steps": 1, "first": 1}, "0"),
    ],
)
def test_filters_take_rows_of_a_file_that_stays_whole(house: House, filters: dict[str, Any], left: str) -> None:
    house.pack("practice", STEPS, **filters)
    table, manifest = prepared(house, "practice")
    assert table["problem_id"].tolist() == [f"p/{number}" for number in left]
    assert manifest["file_sha256"] == files.sha256(house.root / "practice.jsonl.gz")


def test_filters_that_leave_nothing_are_refused(house: House) -> None:
    house.pack("practice", STEPS, level=["6"])
    with pytest.raises(UserError, match=r"data set practice has no problem to use"):
        prepared(house, "practice")


# ---------------------------------------------------------------- what is dropped


ROWS = [
    row(0, "A?", "1"),
    row(1, "B?", ""),
    row(2, "a ?", "1"),
    row(3, "C?", "2"),
    row(4, "C?", "3"),
    row(5, "c?", "2"),
    row(6, "D?", r"\frac12"),
    row(7, "D?", r"\dfrac{1}{2}"),
]


def test_training_sets_keep_one_copy_and_no_conflict() -> None:
    cleaned = clean(ROWS, is_benchmark=False)
    assert [item.problem_id for item in cleaned.rows] == ["p/0", "p/6"]
    assert cleaned.dropped == {"no answer": 1, "conflicting answers": 3, "duplicate": 2}
    assert (cleaned.read, cleaned.duplicates, cleaned.conflicting) == (8, 4, 1)


def test_benchmarks_are_only_reported() -> None:
    cleaned = clean(ROWS, is_benchmark=True)
    assert [item.problem_id for item in cleaned.rows] == ["p/0", "p/2", "p/3", "p/4", "p/5", "p/6", "p/7"]
    assert cleaned.dropped == {"no answer": 1}
    assert (cleaned.duplicates, cleaned.conflicting) == (4, 1)


@pytest.mark.parametrize("is_benchmark", [True, False])
def test_every_row_is_accounted_for(is_benchmark: bool) -> None:
    cleaned = clean(iter(ROWS), is_benchmark)
    assert len(cleaned.rows) + sum(cleaned.dropped.values()) == cleaned.read == len(ROWS)


def test_flagged_golds_are_dropped(house: House) -> None:
    house.pack("practice", [record(0), record(1, meta={"no_gold": True}), record(2, answer="  ")])
    table, manifest = prepared(house, "practice")
    assert table["problem_id"].tolist() == ["p/0"]
    assert manifest["dropped"] == {"no answer": 2}


# ---------------------------------------------------------------- what is refused


def refusal(house: House, name: str) -> str:
    with pytest.raises(UserError) as caught:
        prepare(house.config, name, house.out / name, house.root)
    assert not (house.out / name / "manifest.json").exists()
    return str(caught.value)


def test_unknown_data_set(house: House) -> None:
    message = refusal(house, "practise")
    assert message == f"practise is not a data set of {house.configuration / 'datasets.yaml'}; allowed: exam, practice."


def test_missing_file_names_file_and_digest(house: House) -> None:
    path = house.root / "practice.jsonl.gz"
    digest = files.sha256(path)
    path.unlink()
    message = refusal(house, "practice")
    assert message == (
        f"{path}: no such file; data set practice needs it under the data root $TOKENCREDIT_DATA, expected sha256 {digest}."
    )


def test_changed_file_names_both_digests(house: House) -> None:
    path = house.root / "practice.jsonl.gz"
    expected = files.sha256(path)
    path.write_bytes(packed([record(number) for number in range(1, 7)]))
    message = refusal(house, "practice")
    assert message.startswith(
        f"{path}: damaged or another version: expected sha256 {expected}, found {files.sha256(path)} ("
    )
    assert message.endswith("data set practice.")


@pytest.mark.parametrize("pinned", [True, False])
def test_truncated_gzip(house: House, pinned: bool) -> None:
    path = house.root / "practice.jsonl.gz"
    content = path.read_bytes()[:-12]
    if pinned:  # even a file whose digest is as pinned is refused when it is cut
        house.write("practice", content, 6)
        assert f"{path}: cannot be read as JSON lines, it may be truncated: " in refusal(house, "practice")
    else:
        path.write_bytes(content)
        assert f"{path}: damaged or another version: expected sha256 " in refusal(house, "practice")


def test_wrong_number_of_rows(house: House) -> None:
    house.write("practice", packed([record(number) for number in range(6)]), rows=7)
    assert refusal(house, "practice") == (
        f"{house.root / 'practice.jsonl.gz'}: has 6 rows; data set practice expects 7 (datasets.practice in datasets.yaml)."
    )


def test_row_without_a_field(house: House) -> None:
    house.pack("practice", [{"id": "p/0", "question": "?"}])
    assert refusal(house, "practice") == (
        f"{house.root / 'practice.jsonl.gz'}: row 1: has no problem, answer; it has id, question; data set practice."
    )


def test_repeated_id(house: House) -> None:
    house.pack("practice", [record(0), record(0, problem="Another?")])
    assert refusal(house, "practice") == (
        f"{house.root / 'practice.jsonl.gz'}: row 2: id = 'p/0': is that of row 1 too; every row needs an id of its own, "
        "and the number 1 is the text '1'; data set practice."
    )


def test_a_set_without_an_answer(house: House) -> None:
    house.pack("practice", [record(0, answer=""), record(1, meta={"no_gold": True})])
    assert refusal(house, "practice") == (
        "practice.jsonl.gz: data set practice has no problem to use: of 2 rows 2 have no answer."
    )


def test_benchmark_count_is_a_contract(house: House) -> None:
    house.pack("exam", [record(0), record(1), record(2), record(3, answer="")])
    assert refusal(house, "exam") == (
        f"{house.configuration / 'benchmarks.yaml'}: benchmarks.exam.problems = 4: "
        "data set exam from exam.jsonl.gz has 3 problems with an answer."
    )


def test_a_bad_source_leaves_earlier_results(house: House) -> None:
    prepared(house, "practice")
    before = {path: path.read_bytes() for path in (house.out / "practice").iterdir()}
    (house.root / "practice.jsonl.gz").write_bytes(b"rubbish")
    with pytest.raises(UserError):
        prepare(house.config, "practice", house.out / "practice", house.root)
    assert {path: path.read_bytes() for path in (house.out / "practice").iterdir()} == before


def test_no_space_left_leaves_earlier_results(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(house, "practice")
    folder = house.out / "practice"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    house.pack("practice", [record(number) for number in range(9)])

    def full(table: object, where: Path, **_: object) -> None:
        where.write_bytes(b"the first half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(UserError) as caught:
        prepare(house.config, "practice", folder, house.root)
    assert str(caught.value) == (
        f"{folder / 'problems.parquet'}: cannot be written: No space left on device; earlier results are untouched."
    )
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_command_line_says_one_sentence(house: House) -> None:
    command = [sys.executable, "-m", "tokencredit.data", "prepare", "--config", str(house.configuration)]
    ran = subprocess.run(
        [*command, "--dataset", "nothing", "--out", str(house.out), "--data-root", str(house.root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert (
        ran.stderr
        == f"error: nothing is not a data set of {house.configuration / 'datasets.yaml'}; allowed: exam, practice.\n"
    )
