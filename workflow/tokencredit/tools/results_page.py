"""``docs/results.md``, written from ``docs/results/results.md.j2``: every number comes from a table of ``docs/results``.

A template names numbers by their place: ``{{ one("toy-core/tables/oracle", policy="base", part="all").ratio | percent }}``. A digit in the
template's own prose would be a number that no file tells, and is refused, but for the names below, links and code.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from tokencredit.analysis import layout
from tokencredit.errors import UserError

FOLDER = Path("docs/results")
TEMPLATE = FOLDER / "results.md.j2"

# Digits that are names and no measurements.
_NAMES = re.compile(
    r"arXiv \d+\.\d+(?:v\d+)?|\b[CE]\d+\b|\b(?:Figure|Tables?|Equation|section) \d+|\b(?:Pass|Avg)@\d+|95 %|α = [\d.]+|ln 2"
)
_NOT_PROSE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|```.*?```|`[^`]*`|\]\([^)]*\)", re.DOTALL)


def page() -> str:
    """The page. Raises ``UserError`` for a number that no file tells, and for a place that is not exactly one line of a table."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for place, line in enumerate(_prose(text).splitlines(), start=1):
        if found := re.search(r"\d\S*", line):
            raise UserError(
                f"{TEMPLATE}: line {place}: {found[0]!r} is a number that no file tells; take it from a table."
            )
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"points": points, "percent": percent, "number": number}
    return environment.from_string(text).render(one=one, many=many, effect=effect, interval=interval)


def _prose(text: str) -> str:
    """The template without what is no prose, line by line as it was."""
    for pattern in (_NOT_PROSE, _NAMES):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    return text


def one(table: str, **where: Any) -> Any:
    """The only line of ``docs/results/<table>.csv`` whose columns are as ``where`` says."""
    lines = many(table, **where)
    if len(lines) != 1:
        raise UserError(f"{TEMPLATE}: {table}.csv has {len(lines)} lines with {where}; one is needed.")
    return lines[0]


def many(table: str, **where: Any) -> list[Any]:
    """All lines of ``docs/results/<table>.csv`` whose columns are as ``where`` says, in their order; None: where nothing stands."""
    found = _table(FOLDER / f"{table}.csv")
    for column, value in where.items():
        if column not in found:
            raise UserError(f"{TEMPLATE}: {table}.csv has no column {column!r}; it has {', '.join(found.columns)}.")
        found = found[found[column].isna() if value is None else found[column] == value]
    return list(found.itertuples(index=False))


def points(value: float, digits: int = 1) -> str:
    """A difference with its sign: +1.4. Raises ``UserError`` for one that is missing."""
    return layout.signed(_told(value), digits)


def percent(share: float, digits: int = 0) -> str:
    """A share in percent: 0.043 is 4 %."""
    return f"{number(100 * share, digits)} %"


def number(value: float, digits: int = 1) -> str:
    """A number with so many digits after the point. Raises ``UserError`` for one that is missing."""
    return layout.number(_told(value), digits)


def effect(line: Any, digits: int = 1) -> str:
    """The effect of a contrast with its interval: +1.4 [0.2, 2.6]."""
    return f"{points(line.effect, digits)} {interval(line, '', digits)}"


def interval(line: Any, column: str, digits: int = 1, scale: float = 1.0) -> str:
    """The interval of a column: [0.2, 2.6]; of a contrast's effect where ``column`` is empty."""
    prefix = f"{column}_" if column else ""
    return f"[{', '.join(number(scale * getattr(line, prefix + end), digits) for end in ('low', 'high'))}]"


@cache
def _table(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise UserError(f"{TEMPLATE}: {path}: no such file.")
    return pd.read_csv(path)


def _told(value: float) -> float:
    if not math.isfinite(value):
        raise UserError(f"{TEMPLATE}: a number that it names is missing in its table.")
    return value
