"""``tokencredit compare A B``: the differences between two runs that could make their numbers differ. Equal values are not printed.

A and B are each the folder or the ``run.json`` of a training run, or a Parquet table of an evaluation, which records how it was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tokencredit import files
from tokencredit.errors import UserError

# What a run gave, what it took, and what repeats another entry.
_LEFT_OUT = ("final", "files", "seconds", "invalid", "prompts_too_long", "quadrants")
_OF_A_MODEL = ("model", "revision", "sha256", "code_digest", "environment")


def print_comparison(first: Path, second: Path, as_json: bool) -> bool:
    """Print every setting, seed, digest and version that differs; whether none does."""
    found = differences(made_with(first), made_with(second))
    if as_json:
        print(json.dumps({key: {"first": one, "second": other} for key, (one, other) in found.items()}, indent=1))
    elif found:
        Console(highlight=False, soft_wrap=True).print(_table(found, first, second))
    else:
        print("no setting, seed, digest or version differs")
    return not found


def made_with(path: Path) -> dict[str, Any]:
    """The settings, seeds, digests and versions that a training run or a table of an evaluation records. ``UserError`` for other files."""
    path = path / "run.json" if path.is_dir() else path
    record = files.parquet_metadata(path) if path.suffix == ".parquet" else files.read_json(path)
    if not isinstance(record, dict) or "code_digest" not in record:
        raise UserError(f"{path}: does not say what it was made with; allowed are run.json and tables of eval/.")
    left_out = (*_LEFT_OUT, *(("config_digest", "code_digest", "model_sha256") if "digests" in record else ()))
    said = {key: value for key, value in record.items() if key not in left_out}
    for name in ("model", "teacher"):
        if isinstance(model := said.get(name), dict):
            said[name] = {key: model[key] for key in _OF_A_MODEL if key in model}
    return said


def differences(first: Any, second: Any) -> dict[str, tuple[Any, Any]]:
    """The entries of two nested records that differ, by their dotted keys: (in the first, in the second); None where there is none."""
    one, other = dict(_flat(first)), dict(_flat(second))
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _flat(record: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, by its dotted key."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from _flat(value, f"{above}.{key}" if above else str(key))
    else:
        yield above, record


def _table(found: dict[str, tuple[Any, Any]], first: Path, second: Path) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("", str(first), str(second)):
        table.add_column(escape(title), overflow="fold")
    for key, (one, other) in found.items():
        table.add_row(escape(key), *("" if value is None else escape(_word(value)) for value in (one, other)))
    return table


def _word(value: Any) -> str:
    """A value as it is printed; of a digest enough to tell it from another."""
    text = repr(value)[1:-1] if isinstance(value, str) else str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
