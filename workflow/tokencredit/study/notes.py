"""Notes: dated sentences that people wrote about a study, never changed, one line each beside its runs.

Parts of one study share the file; each shows the notes that are about its own methods, seeds and steps, or about none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from tokencredit import files
from tokencredit.config import Study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths


class Note(BaseModel):
    """``at``: UTC, as 2026-12-01T09:30:00Z; ``method``, ``seed`` and ``step``: what it is about, None where it is about all."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    at: str
    by: str
    text: str
    method: str | None = None
    seed: int | None = None
    step: int | None = None


@dataclass(frozen=True)
class Numbered:
    """A note with its place in the file, from 1."""

    number: int
    note: Note

    def about(self, study: Study) -> str:
        """What it is about, in words; empty where it is about the study."""
        note = self.note
        title = study.methods[note.method].title if note.method else ""
        named = {"seed": note.seed, "step": note.step}
        return ", ".join(
            filter(None, [title, *(f"{name} {value}" for name, value in named.items() if value is not None)])
        )

    @property
    def when(self) -> str:
        """To the minute, for a person."""
        return f"{self.note.at[:16].replace('T', ' ')} UTC"


def notes_of(paths: Paths) -> list[Numbered]:
    """The notes about a study, oldest first. Raises ``UserError`` for a line that is no note."""
    if not paths.notes.is_file():
        return []
    found = []
    for number, line in enumerate(files.read_jsonl(paths.notes), start=1):
        try:
            found.append(Numbered(number, Note.model_validate(line)))
        except ValidationError as error:
            why = "; ".join(": ".join([*map(str, each["loc"]), each["msg"]]) for each in error.errors())
            raise UserError(f"{paths.notes}: line {number} is no note: {why}.") from error
    return [each for each in found if not wrong(paths.study, each.note)]


def append(paths: Paths, note: Note) -> Numbered:
    """Add a note behind the last one, whole or not at all, also where several are written at a time."""
    try:
        paths.notes.parent.mkdir(parents=True, exist_ok=True)
        with paths.notes.open("ab+", buffering=0) as file:
            # A file system without locks still adds the line in one piece.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = file.read()
            line = b"\n" * (before[-1:] not in (b"", b"\n")) + note.model_dump_json(exclude_none=True).encode() + b"\n"
            if file.write(line) != len(line):
                file.truncate(len(before))
                raise OSError("no space is left")
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(
            f"{paths.notes}: cannot be written: {error.strerror or error}; earlier notes are untouched."
        ) from error
    return Numbered(sum(bool(each.strip()) for each in before.split(b"\n")) + 1, note)


def wrong(study: Study, note: Note) -> str:
    """What a note is about that the study has not, as a sentence; empty where it is about the study."""
    seeds, steps = study.training.seeds, study.training.steps
    if note.method is not None and note.method not in study.methods:
        return f"--method {note.method}: is not a method of study {study.name}; allowed: {', '.join(study.methods)}."
    if note.seed is not None and note.seed not in seeds:
        return (
            f"--seed {note.seed}: is not a training seed of study {study.name}; allowed: {', '.join(map(str, seeds))}."
        )
    if note.step is not None and not 1 <= note.step <= steps:
        return f"--step {note.step}: is not a training step of study {study.name}; allowed: 1 to {steps}."
    return ""
