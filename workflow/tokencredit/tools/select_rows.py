"""Choosing rows of a table or figure by a few words: the columns that say what a row is about, and the rows that match."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tokencredit import files
from tokencredit.errors import UserError

# What a row can be about, in the order in which a person says it.
KEYS = (
    *(
        "claim",
        "source",
        "panel",
        "policy",
        "part",
        "group",
        "method",
        "row",
        "line",
        "benchmark",
        "metric",
        "contrast",
    ),
    *("quadrant", "reward", "seed", "step", "problem_id", "sample", "position", "k", "alpha", "token", "from", "name"),
)
SHOWN = 12  # values that an error lists


def read(path: Path) -> pd.DataFrame:
    """A CSV as text: every value as it is written, empty if there is none."""
    files.sha256(path)  # names the table if it is not there
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}.") from error


def keys_of(table: pd.DataFrame, own: Sequence[str] = ()) -> list[str]:
    """The columns of ``table`` that say what a row is about; ``own``: the keys that its entry declares, of which ``KEYS`` may lack some."""
    return [name for name in dict.fromkeys((*KEYS, *own)) if name in table]


def choose(table: pd.DataFrame, words: Sequence[str], where: Path, keys: list[str]) -> pd.DataFrame:
    """The rows that have all ``words`` among their ``keys`` (``keys_of``); of two words of one column, a row has one or the other.

    A word is a value of exactly one key column, or ``column=value``. Raises ``UserError`` for words that are no value or several
    columns', and for words that no row has together.
    """
    wanted: dict[str, set[str]] = {}
    for word in words:
        column, value = _column(table, word, where, keys)
        wanted.setdefault(column, set()).add(value)
    chosen = table
    for column, values in wanted.items():
        chosen = chosen[chosen[column].isin(values)]
    if chosen.empty:
        raise UserError(f"{where}: no row has {' and '.join(words)} together." if words else f"{where}: has no rows.")
    return chosen


def _column(table: pd.DataFrame, word: str, where: Path, keys: list[str]) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if name in keys and value in set(table[name]):
        return name, value
    found = [key for key in keys if word in set(table[key])]
    if len(found) > 1:
        ways = " or ".join(f"{key}={word}" for key in found)
        raise UserError(f"{where}: {word} is a value of {' and of '.join(found)}; write {ways}.")
    if not found:
        raise UserError(f"{where}: {word} is no value of {'; nor of '.join(_values(table, key) for key in keys)}.")
    return found[0], word


def _values(table: pd.DataFrame, key: str) -> str:
    values = [value for value in table[key].unique() if value]
    more = f", … ({len(values)} in all)" if len(values) > SHOWN else ""
    return f"{key} ({', '.join(values[:SHOWN])}{more})"
