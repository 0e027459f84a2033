"""The rows of a JSON-lines file, each checked: an error names the file, the row (1-based), the field and what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tokencredit.errors import UserError

_SHOWN = 60  # characters of a refused value


@dataclass(frozen=True)
class Row:
    """One problem as its source has it. ``answer`` is empty where the source gives no gold."""

    problem_id: str
    problem: str
    answer: str
    source: str
    level: str | None = None
    solution: str | None = None


def parsed_rows(place: str, source: str, text: str) -> Iterator[Row]:
    """The rows of the text of a JSON-lines file, in order; blank lines are none, and keep their number.

    ``place``: the file, for errors; ``source``: the data set's name. Raises ``UserError`` for the first row that is no object with the
    fields below, and for an id that two rows share once both are texts.

    ========== ================================= ======================================
    field      allowed                           missing
    ========== ================================= ======================================
    id         text, not empty, or whole number  refused
    problem    text                              refused
    answer     text                              refused
    level      text or whole number              none
    solution   text                              none
    meta       an object; ``no_gold`` in it is   the row has a gold
               true or false
    ========== ================================= ======================================
    """
    first_with: dict[str, int] = {}
    # Not splitlines: problem texts may hold other line separators.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = _row(f"{place}: row {number}", source, line)
        if row.problem_id in first_with:
            raise UserError(
                f"{place}: row {number}: id = {row.problem_id!r}: is that of row {first_with[row.problem_id]} too; every row needs "
                f"an id of its own, and the number 1 is the text '1'; data set {source}."
            )
        first_with[row.problem_id] = number
        yield row


def text_field(place: str, source: str, key: str, value: Any) -> str:
    """``value``, which must be a text that can be written; another is a ``UserError`` that names ``place`` (file and row) and ``key``."""
    if not isinstance(value, str):
        raise _refused(place, source, key, value, "must be a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refused(
            place,
            source,
            key,
            value,
            f"holds half of a surrogate pair at character {error.start + 1}; it must be Unicode text",
        ) from error
    return value


def _row(place: str, source: str, line: str) -> Row:
    try:
        record = json.loads(line, object_pairs_hook=lambda pairs: _object(place, source, pairs))
    except (ValueError, RecursionError) as error:
        reason = (
            "it is nested too deep"
            if isinstance(error, RecursionError)
            else str(error).replace("line 1 column", "character")
        )
        raise UserError(
            f"{place}: cannot be read as JSON, the file may be truncated: {reason}; data set {source}."
        ) from error
    if not isinstance(record, dict):
        raise UserError(
            f"{place}: is {_kind(record)}; it must be an object with id, problem and answer; data set {source}."
        )
    missing = [key for key in ("id", "problem", "answer") if key not in record]
    if missing:
        there = ", ".join(record).encode("utf-8", "backslashreplace").decode() or "no field"
        raise UserError(f"{place}: has no {', '.join(missing)}; it has {there}; data set {source}.")
    problem, answer = (text_field(place, source, key, record[key]) for key in ("problem", "answer"))
    return Row(
        problem_id=_id(place, source, record["id"]),
        problem=problem,
        answer=answer.strip() if _has_gold(place, source, record) else "",
        source=source,
        level=_optional(place, source, record, "level", _text_or_number),
        solution=_optional(place, source, record, "solution", text_field),
    )


def _object(place: str, source: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"{place}: has the field {twice!a} twice; each may stand there once; data set {source}.")
    return found


def _id(place: str, source: str, value: Any) -> str:
    text = _text_or_number(place, source, "id", value)
    if not text.strip():
        raise _refused(place, source, "id", value, "must not be empty")
    return text


def _text_or_number(place: str, source: str, key: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _refused(place, source, key, value, "must be a text or a whole number")
    return text_field(place, source, key, value)


def _optional(place: str, source: str, record: dict[str, Any], key: str, read: Callable[..., str]) -> str | None:
    value = record.get(key)
    return None if value is None else read(place, source, key, value)


def _has_gold(place: str, source: str, record: dict[str, Any]) -> bool:
    meta = record.get("meta", {})
    if not isinstance(meta, dict):
        raise _refused(place, source, "meta", meta, "must be an object, or left out")
    no_gold = meta.get("no_gold", False)
    if not isinstance(no_gold, bool):
        raise _refused(place, source, "meta.no_gold", no_gold, "must be true or false")
    return not no_gold


def _refused(place: str, source: str, key: str, value: Any, rule: str) -> UserError:
    try:
        shown = (
            ascii(value)
            if isinstance(value, str) and not value.isprintable()
            else json.dumps(value, ensure_ascii=False)
        )
        shown.encode("utf-8")
    except UnicodeEncodeError:
        shown = ascii(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return UserError(f"{place}: {key} = {shown}: {rule}; data set {source}.")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")
