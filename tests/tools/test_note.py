"""``tokencredit note``: what it writes and lists, what it refuses, and that no note is lost where several are written at a time."""

from __future__ import annotations

import json
import re
import resource
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tokencredit.__main__ import app
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.notes import Note, append, notes_of
from tokencredit.study.paths import Paths

CONFIG = Path("config")


def noted(results: Path, *arguments: str, study: str = "toy-paper") -> str:
    done = CliRunner().invoke(app, ["note", "--study", study, "--results", str(results), *arguments])
    if done.exception:
        raise done.exception
    return done.output


def paths(results: Path, study: str = "toy-paper") -> Paths:
    return Paths(load_study(CONFIG, study), results)


def test_a_note_is_one_line_with_time_author_and_what_it_is_about(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    about = ["--method", "eapo", "--seed", "3", "--step", "30", "--by", "A person"]
    said = noted(tmp_path, "two\u2028lines\nof text ", *about)
    file = tmp_path / "toy-full/notes.jsonl"
    assert file.read_bytes().count(b"\n") == 1
    line = json.loads(file.read_bytes())
    at = line.pop("at")
    assert before <= datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert line == {"by": "A person", "text": "two\u2028lines\nof text", "method": "eapo", "seed": 3, "step": 30}
    listed = f"1  {at[:10]} {at[11:16]} UTC  A person, EAPO, seed 3, step 30: two\u2028lines\nof text\n"
    assert said == f"{listed}made {file}\n"
    assert noted(tmp_path) == listed


def test_notes_are_added_and_those_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    noted(tmp_path, "first", "--by", "A person")
    file = tmp_path / "toy-full/notes.jsonl"
    first = file.read_bytes()
    file.write_bytes(first.rstrip(b"\n"))  # as some editors leave it
    assert noted(tmp_path, "second", "--by", "A person").startswith("2  ")
    assert file.read_bytes().startswith(first)
    assert [line.rpartition(": ")[2] for line in noted(tmp_path).splitlines()] == ["first", "second"]


def test_the_author_is_git_s_user_or_else_the_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "login")
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, str(tmp_path / "gitconfig"))
    config = CONFIG.absolute()
    monkeypatch.chdir(tmp_path)
    for git in ("[user]\n\tname = A person\n", ""):
        (tmp_path / "gitconfig").write_text(git)
        noted(tmp_path, "text", "--config", str(config))
    monkeypatch.setenv("PATH", str(tmp_path))  # without Git
    noted(tmp_path, "text", "--config", str(config))
    found = notes_of(Paths(load_study(config, "toy-paper"), tmp_path))
    assert [each.note.by for each in found] == ["A person", "login", "login"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["text", "--method", "rrpo"], "--method rrpo: is not a method of study toy-paper; allowed: grpo, dapo, "),
        (["text", "--method", "base"], "--method base: is not a method of study toy-paper"),
        (["text", "--seed", "5"], "--seed 5: is not a training seed of study toy-paper; allowed: 0, 1, 2, 3, 4."),
        (["text", "--step", "0"], "--step 0: is not a training step of study toy-paper; allowed: 1 to "),
        (["text", "--step", "100000"], "--step 100000: is not a training step"),
        ([" \n"], "the note is empty"),
        (["--step", "3"], "are about a new note, and there is no text for one"),
        (["--by", "A person"], "are about a new note, and there is no text for one"),
    ],
)
def test_what_the_study_has_not_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        noted(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="toy-papre"):
        noted(tmp_path, "text", study="toy-papre")
    assert noted(tmp_path) == "no note about study toy-paper\n"


def test_parts_of_one_study_share_notes_and_each_has_those_about_its_own_runs(tmp_path: Path) -> None:
    noted(tmp_path, "of all", "--by", "A person", study="toy-full")
    other = next(name for name in load_study(CONFIG, "toy-full").methods if name not in paths(tmp_path).study.methods)
    noted(tmp_path, "of another method", "--by", "A person", "--method", other, study="toy-full")
    noted(tmp_path, "of one of its own", "--by", "A person", "--method", "eapo")
    assert [each.number for each in notes_of(paths(tmp_path))] == [1, 3]
    assert [each.number for each in notes_of(paths(tmp_path, "toy-full"))] == [1, 2, 3]


def test_no_note_is_lost_where_several_are_written_at_a_time(tmp_path: Path) -> None:
    own = paths(tmp_path)
    notes = [Note(at="2026-12-01T09:30:00Z", by="A person", text=f"{number} " + "x" * 20_000) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        numbers = [each.number for each in pool.map(lambda note: append(own, note), notes)]
    assert sorted(numbers) == list(range(1, 41))
    assert {each.note.text for each in notes_of(own)} == {note.text for note in notes}
    by_number = {each.number: each.note for each in notes_of(own)}
    assert [by_number[number] for number in numbers] == notes


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "cannot be read as JSON lines"),
        ('{"at": "2026", "by": "A person"}', "line 2 is no note: text: Field required"),
        (
            '{"at": "2026", "by": "A person", "text": "", "step": "4"}',
            "line 2 is no note: step: Input should be a valid",
        ),
        ("3", "line 2 is no note: Input should be"),
    ],
)
def test_a_line_that_is_no_note_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    noted(tmp_path, "first", "--by", "A person")
    with paths(tmp_path).notes.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=rf"notes\.jsonl: {re.escape(sentence)}"):
        noted(tmp_path)


def test_a_note_for_which_there_is_no_space_is_taken_back(tmp_path: Path) -> None:
    own = paths(tmp_path)
    append(own, Note(at="2026-12-01T09:30:00Z", by="A person", text="first"))
    before = own.notes.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(UserError, match=r"notes\.jsonl: cannot be written: .*; earlier notes are untouched"):
            append(own, Note(at="2026-12-01T09:30:00Z", by="A person", text="second"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert own.notes.read_bytes() == before


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "toy-full").write_text("")
    with pytest.raises(UserError, match=r"notes\.jsonl: cannot be written"):
        noted(tmp_path, "text")
