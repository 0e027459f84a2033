"""``tokencredit note``: write a note about a study, or list those that there are."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tokencredit import cli
from tokencredit.config import Study, load_study
from tokencredit.errors import UserError
from tokencredit.study.notes import Note, Numbered, append, notes_of, wrong
from tokencredit.study.paths import Paths


def write(
    study: str,
    text: str,
    method: str | None,
    seed: int | None,
    step: int | None,
    by: str | None,
    config: Path,
    results: Path,
) -> None:
    """Add a note. Raises ``UserError`` for an empty one, and for a method, seed or step that the study has not."""
    resolved = load_study(config, study)
    if not text.strip():
        raise UserError("the note is empty; without a text the notes that there are get listed.")
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    note = Note(at=at, by=by or _user(), text=text.strip(), method=method, seed=seed, step=step)
    if sentence := wrong(resolved, note):
        raise UserError(sentence)
    paths = Paths(resolved, results)
    print(_line(resolved, append(paths, note)))
    if paths.page.is_file():
        print(f"the page shows it when it is made again: snakemake {paths.page}")
    cli.made([paths.notes])


def print_notes(study: str, config: Path, results: Path, of_new: Sequence[str | int | None]) -> None:
    """Print the notes about a study. ``of_new``: options that only a new note takes; ``UserError`` where one is given."""
    if any(each is not None for each in of_new):
        raise UserError("--method, --seed, --step and --by are about a new note, and there is no text for one.")
    resolved = load_study(config, study)
    found = notes_of(Paths(resolved, results))
    print("\n".join(_line(resolved, each) for each in found) or f"no note about study {study}")


def _line(study: Study, found: Numbered) -> str:
    who = ", ".join(filter(None, (found.note.by, found.about(study))))
    return f"{found.number}  {found.when}  {who}: {found.note.text}"


def _user() -> str:
    """Git's user.name; the login where there is none."""
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return getpass.getuser()
    return done.stdout.strip() or getpass.getuser()
