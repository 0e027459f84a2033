"""Files: whole or not at all, digested, and named in every error."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tokencredit import files
from tokencredit.errors import UserError

TABLE = pd.DataFrame({"name": ["a", "b"], "count": [1, 2]})


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- writing


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"
    assert listed(tmp_path / "a" / "b") == ["c.txt"]


def test_a_failure_inside_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("earlier")

    def interrupted() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "earlier"
    assert listed(tmp_path) == ["table.csv"]


def test_no_space_left_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.parquet"
    files.write_parquet(path, TABLE)
    before = path.read_bytes()

    def full(table: object, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(UserError) as caught:
        files.write_parquet(path, TABLE)
    assert str(caught.value) == f"{path}: cannot be written: No space left on device; earlier results are untouched."
    assert path.read_bytes() == before
    assert listed(tmp_path) == ["table.parquet"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder must be")
    with pytest.raises(UserError) as caught:
        files.write_json(tmp_path / "results" / "run.json", {})
    assert (
        str(caught.value)
        == f"{tmp_path / 'results' / 'run.json'}: cannot be written: File exists; earlier results are untouched."
    )


def test_no_space_for_the_temporary_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> tuple[int, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.tempfile, "mkstemp", full)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        files.write_text(tmp_path / "a.txt", "text")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path: Path, umask: int, mode: int) -> None:
    (tmp_path / "model").mkdir()
    weights = tmp_path / "model/model.safetensors"
    weights.touch(0o600)
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "a.txt", "")
        files.share(tmp_path / "model")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a.txt", weights)] == [mode, mode]


# ---------------------------------------------------------------- JSON


def test_json_keeps_what_it_is_given(tmp_path: Path) -> None:
    value = {"a": [1, 0.1, None, True, "é 求 \u2028"]}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert listed(tmp_path) == []


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "text": "two\u2028lines\u0085"}\n\n{"step": 2}\n', encoding="utf-8")
    assert files.read_jsonl(path) == [{"step": 1, "text": "two\u2028lines\u0085"}, {"step": 2}]


@pytest.mark.parametrize(
    ("read", "kind"), [(files.read_json, "JSON"), (files.read_jsonl, "JSON lines"), (files.read_parquet, "Parquet")]
)
def test_unreadable_files_are_named(read, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: no such file."
    path.write_text('{"a": ')
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as {kind}")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=f"cannot be read as {kind}"):
        read(path)


# ---------------------------------------------------------------- Parquet


def test_parquet_with_metadata(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    files.write_parquet(path, TABLE, {"study": "toy", "n": 8, "nested": {"é": [None]}})
    pd.testing.assert_frame_equal(files.read_parquet(path), TABLE)
    assert files.read_parquet(path, ["count"]).columns.tolist() == ["count"]
    assert files.parquet_metadata(path) == {"study": "toy", "n": 8, "nested": {"é": [None]}}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        files.write_parquet(tmp_path / name, TABLE, {"n": 1})
    assert files.sha256(tmp_path / "a") == files.sha256(tmp_path / "b")


def test_foreign_parquet_has_no_metadata(tmp_path: Path) -> None:
    TABLE.to_parquet(tmp_path / "table.parquet")
    assert files.parquet_metadata(tmp_path / "table.parquet") == {}


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    files.write_parquet(path, TABLE)
    with pytest.raises(UserError) as caught:
        files.read_parquet(path, ["name", "answer"])
    assert str(caught.value) == f"{path}: has no column answer; it has name, count."


@pytest.mark.parametrize("columns", [None, ["name"]])
def test_truncated_parquet_is_named(columns: list[str] | None, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    files.write_parquet(path, TABLE)
    path.write_bytes(path.read_bytes()[:-20])
    for read in (lambda: files.read_parquet(path, columns), lambda: files.parquet_metadata(path)):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: cannot be read as Parquet, it may be truncated: ")


def test_damaged_parquet_data_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    files.write_parquet(path, TABLE)
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        files.read_parquet(path)


# ---------------------------------------------------------------- digests


def test_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digest_of_a_folder_sees_names_content_and_nothing_else(tmp_path: Path) -> None:
    def folder(name: str, content: dict[str, str]) -> str:
        for path, text in content.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return files.sha256(tmp_path / name)

    first = folder("one", {"a": "1", "b/c": "2"})
    assert folder("two", {"b/c": "2", "a": "1"}) == first
    (tmp_path / "two" / "empty").mkdir()
    os.utime(tmp_path / "two" / "a", (0, 0))
    assert files.sha256(tmp_path / "two") == first
    assert folder("three", {"a": "2", "b/c": "2"}) != first
    assert folder("four", {"a": "1", "c": "2"}) != first


def test_digest_of_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        files.sha256(tmp_path / "nothing")
    assert str(caught.value) == f"{tmp_path / 'nothing'}: no such file."
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be read: Not a directory"):
        files.sha256(tmp_path / "file" / "inside")


def test_digest_of_a_value() -> None:
    assert files.digest_of({"a": 1, "b": [1.5, None]}) == files.digest_of({"b": [1.5, None], "a": 1})
    assert files.digest_of({"a": 1}) != files.digest_of({"a": 1.0})
    assert files.digest_of([1, 2]) != files.digest_of([2, 1])
