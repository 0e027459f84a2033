"""Tables and figures as the page shows them."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass

import pandas as pd
from PIL import Image

from tokencredit import files
from tokencredit.analysis import tables
from tokencredit.analysis.layout import Wide
from tokencredit.analysis.store import Store
from tokencredit.study.exhibits import Kind, exhibit

# The words that a table may end a line with, and how each is coloured.
OUTCOMES = {
    "verdicts": {
        "reproduced": "agrees",
        "consistent": "open",
        "higher": "differs",
        "lower": "differs",
        "not measured": "without",
        "invalid": "without",
    },
    "claims": {
        "supported": "agrees",
        "not resolved": "open",
        "contradicted": "differs",
        "not testable": "without",
        "not measured": "without",
    },
}


@dataclass(frozen=True)
class Shown:
    """What tables and figures have in common: their name, also as an anchor, a heading and a caption."""

    name: str
    anchor: str
    heading: str
    caption: str


@dataclass(frozen=True)
class Table(Shown):
    """A wide table; of one with outcomes, the class of each word and the number of lines that end with it."""

    wide: Wide
    outcomes: dict[str, str]
    counts: dict[str, int]


@dataclass(frozen=True)
class Figure(Shown):
    """A picture as base64 of a PNG, its size in pixels, two to a pixel of the page, and the note that completes its caption."""

    note: str
    picture: str
    width: int
    height: int


def table(store: Store, name: str) -> Table:
    """A stored table."""
    return _table(store, name, {})


def outcome_table(store: Store, name: str) -> Table:
    """A stored table whose lines end with a word of ``OUTCOMES``."""
    return _table(store, name, OUTCOMES[name])


def figure(store: Store, name: str) -> Figure:
    """A stored figure, with the colours of its PNG cut to the 256 that suit it best.

    Drawings of few flat colours look the same and take a third of the bytes. As SVG the curves would be as small, but a scatter or a heat
    map holds thousands of shapes, and letters would be other fonts wherever the page is read.
    """
    path = store.opened(store.paths.figure(name, "png"))
    files.sha256(path)  # names the figure if it was not made
    with Image.open(path) as stored:
        reduced = stored.convert("RGB").quantize(256)
    buffer = io.BytesIO()
    reduced.save(buffer, "PNG", optimize=True)
    return Figure(
        **_named("figure", name),
        note=files.read_json(path.with_suffix(".json"))["note"],
        picture=base64.b64encode(buffer.getvalue()).decode(),
        width=reduced.width,
        height=reduced.height,
    )


def _table(store: Store, name: str, outcomes: dict[str, str]) -> Table:
    records = tables.read(store.opened(store.paths.table(name)))
    found = Counter(_ends(name, records)) if outcomes else Counter()
    return Table(
        **_named("table", name),
        wide=tables.wide(name, records, store),
        outcomes=outcomes,
        counts={word: found[word] for word in outcomes},
    )


def _ends(name: str, records: pd.DataFrame) -> pd.Series:
    """The outcomes that count: of every number, and of every claim but not of its contrasts."""
    return records["verdict"] if name == "verdicts" else records.loc[records["contrast"] == "", "outcome"]


def _named(kind: Kind, name: str) -> dict[str, str]:
    entry = exhibit(kind, name)
    return {"name": name, "anchor": f"{kind}-{name}", "heading": entry.title, "caption": entry.caption}
