"""Experiments and claims as the page lists them: an outcome and a sentence, which opens to the contrasts that decide it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tokencredit.analysis.layout import Cell, Wide
from tokencredit.analysis.paper import contrasts
from tokencredit.analysis.paper.claims import FOR_CHECKPOINTS
from tokencredit.analysis.store import Store
from tokencredit.config import Contrast

TABLES = ("experiments", "claims")  # in the order in which they are shown
_CONTRAST = "– "  # what the title of a contrast begins with, in the layout of both tables


@dataclass(frozen=True)
class Compared:
    """A contrast in words with what was found, as text; ``sign``: 1 as declared, −1 the other way, 0 not told, for these checkpoints."""

    words: str
    outcome: str
    effect: str
    interval: str
    p: str
    rests_on: str
    reason: str
    sign: int = 0


@dataclass(frozen=True)
class Judged:
    """A claim or an experiment: its name, its statement, the outcome and the reason, and its contrasts."""

    name: str
    statement: str
    outcome: str
    reason: str
    contrasts: tuple[Compared, ...]

    @property
    def tally(self) -> tuple[int, int, int]:
        """How many contrasts are as declared and the other way round for these checkpoints, and how many were measured."""
        signs = [contrast.sign for contrast in self.contrasts]
        return signs.count(1), signs.count(-1), sum(bool(contrast.effect) for contrast in self.contrasts)


def list_of(wide: Wide, signs: list[int]) -> list[Judged]:
    """The claims or experiments of a table as it is shown: one line of each, then one for each of its contrasts.

    ``signs``: those of the contrasts, in the order of the table.
    """
    found: list[tuple[str, Cell, list[Compared]]] = []
    left = iter(signs)
    for title, (outcome, effect, test), _ in wide.rows:
        if not title.startswith(_CONTRAST):
            found.append((title, outcome, []))
            continue
        compared = Compared(
            words=title.removeprefix(_CONTRAST),
            outcome=outcome.value,
            effect=effect.value,
            interval=effect.interval,
            p=test.value,
            rests_on="; ".join(filter(None, test.notes)),
            reason="; ".join(outcome.notes),
            sign=next(left),
        )
        found[-1][2].append(compared)
    return [
        Judged(*title.split(". ", 1), outcome.value, "; ".join(outcome.notes), tuple(compared))
        for title, outcome, compared in found
    ]


def signs_of(store: Store, name: str, records: pd.DataFrame) -> list[int]:
    """``Compared.sign`` of each contrast of a table; experiments, which are declared for methods, have none."""
    of_contrasts = records[records["contrast"] != ""].to_dict("records")
    if name != "claims":
        return [0] * len(of_contrasts)
    declared = {key: contrasts.pairs(claim.contrasts) for key, claim in store.study.config.claims.claims.items()}
    known = [contrast for key in records["claim"].unique() for contrast, _ in declared[key]]
    return [_sign(record, contrast) for record, contrast in zip(of_contrasts, known, strict=True)]


def _sign(record: dict, contrast: Contrast) -> int:
    """Where a difference is resolved for these checkpoints: whether it is as declared."""
    direction = getattr(contrast, "direction", "higher")
    if not record["reason"].endswith(FOR_CHECKPOINTS) or direction == "equal":
        return 0
    border = getattr(contrast, "ratio", 1.0) if record["unit"] == "ratio" else 0.0
    return 1 if (record["effect"] > border) == (direction == "higher") else -1
