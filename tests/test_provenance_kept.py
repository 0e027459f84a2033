"""What is kept of a module's text is what its text says, and is not taken for another text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokencredit.provenance import PACKAGE, kept, syntax

ONE, OTHER = "def f(x: int):\n    return g(x) + 1\n", "def f(x: int):\n    return g(x) + 2\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "one.py"
    path.write_text(ONE)
    return path


@pytest.fixture
def parsings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were parsed."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    parse, texts = syntax.parsed, []
    monkeypatch.setattr(syntax, "parsed", lambda text: texts.append(text) or parse(text))
    return texts


def place_of(source: Path) -> Path:
    (place,) = (source.parent / "__pycache__").iterdir()
    return place


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py"))[::7], ids=lambda path: path.stem)
def test_what_is_kept_is_what_the_text_says(path: Path, tmp_path: Path, parsings: list[str]) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    said = syntax.parsed(path.read_text(encoding="utf-8"))
    assert [kept.module(copy), kept.module(copy)] == [said, said]
    assert len(parsings) == 2


def test_another_text_of_the_same_size_and_time_is_parsed(source: Path, parsings: list[str]) -> None:
    kept.module(source)
    times = source.stat()
    source.write_text(OTHER)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert kept.module(source) == syntax.parsed(OTHER)
    assert parsings == [ONE, OTHER, OTHER]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content.replace(b'"text"', b'"test"'),
        lambda content: b"0" + content,
        lambda content: b"\xff" + content,
    ],
)
def test_what_is_damaged_is_parsed_and_kept_anew(
    damage: Callable[[bytes], bytes], source: Path, parsings: list[str]
) -> None:
    kept.module(source)
    place = place_of(source)
    content = place.read_bytes()
    place.write_bytes(damage(content))
    assert kept.module(source) == syntax.parsed(ONE)
    assert place_of(source).read_bytes() == content


def test_what_another_reader_kept_is_not_taken(
    source: Path, parsings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.module(source)
    monkeypatch.setattr(kept, "_reader", lambda: "another text of syntax.py")
    kept.module(source)
    monkeypatch.setattr(sys, "version", "another Python")
    kept.module(source)
    assert parsings == [ONE] * 3


def test_where_nothing_can_be_or_is_to_be_written_it_is_parsed(
    source: Path, parsings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python that writes no compiled files writes none of these; a file in the folder's place stands for one without a right to write."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    said = kept.module(source)
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (source.parent / "__pycache__").write_text("")
    assert kept.module(source) == said
    assert parsings == [ONE] * 2
