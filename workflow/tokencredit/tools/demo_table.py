"""README's table of the demo, written from the ``table1`` that a run of it made."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tokencredit.analysis import layout
from tokencredit.errors import UserError

README = Path("README.md")
_HEAD = "| | tier 1 | tier 2 | tier 3 | mean, 95 % interval |\n|---|---|---|---|---|\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\|.*\n)+")
_TIERS = ("toy-tier1", "toy-tier2", "toy-tier3")
_QUADRANTS = {
    "phr": "PHR: right, high entropy",
    "nhr": "NHR: wrong, high entropy",
    "plr": "PLR: right, low entropy",
    "nlr": "NLR: wrong, low entropy",
}


def filled(text: str, table: pd.DataFrame) -> str:
    """README with the scores of a ``table1.csv`` of the study `toy`. Raises ``UserError`` where there is not exactly one such table."""
    if len(_TABLE.findall(text)) != 1:
        raise UserError(f"{README}: does not hold the demo's table once: {_HEAD.splitlines()[0]}")
    return _TABLE.sub(lambda _: _HEAD + "".join(_lines(table)), text)


def _lines(table: pd.DataFrame) -> list[str]:
    """A line for each method, in the table's order."""
    lines = []
    for (method, title), scores in table.groupby(["method", "title"], sort=False):
        by = {line.benchmark: line for line in scores.itertuples()}
        if missing := {*_TIERS, "mean"} - by.keys():
            raise UserError(
                f"{README}: {method} has no score of {', '.join(sorted(missing))}; the table is that of study `toy`."
            )
        cells = [_score(by[tier]) for tier in _TIERS]
        mean = by["mean"]
        cells.append(
            f"{layout.number(mean.avg, 1)} [{layout.number(mean.avg_low, 0)}, {layout.number(mean.avg_high, 0)}]"
        )
        lines.append(f"| {_QUADRANTS.get(method, title)} | {' | '.join(cells)} |\n")
    return lines


def _score(line: object) -> str:
    """The score, and of a trained method its change from the base model."""
    change = "" if pd.isna(line.over_base) else f" ({layout.signed(line.over_base, 1)})"
    return layout.number(line.avg, 1) + change
