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
from tokencredit.analysis.page.judged import Judged, list_of, signs_of
from tokencredit.analysis.store import Store
from tokencredit.study.exhibits import Kind, exhibit

# The words that a table may end a line with, and how each is coloured.
JUDGED = {
    "supported": "agrees",
    "not resolved": "open",
    "contradicted": "differs",
    "not testable": "without",
    "not measured": "without",
}
OUTCOMES = {
    "verdicts": {
        "reproduced": "agrees",
        "consistent": "open",
        "higher": "differs",
        "lower": "differs",
        "not measured": "without",
        "invalid": "without",
    },
    "experiments": JUDGED,
    "claims": JUDGED,
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
    """A wide table. Of a table with outcomes: the class of each word, and the number of lines that end with it."""

    wide: Wide
    outcomes: dict[str, str]
    counts: dict[str, int]


@dataclass(frozen=True)
class Judgements(Shown):
    """Claims or experiments with what must be known to read them; the class of each outcome, and how many have it."""

    outcomes: dict[str, str]
    counts: dict[str, int]
    entries: list[Judged]
    notes: list[str]


@dataclass(frozen=True)
class Figure(Shown):
    """A picture as base64 of a PNG, its size in pixels, two to a pixel of the page, and the note that completes its caption."""

    note: str
    picture: str
    width: int
    height: int


def table(store: Store, name: str) -> Table:
    """A stored table, with the outcomes that its lines end with as far as ``OUTCOMES`` has any."""
    records = stored(store, name)
    outcomes = OUTCOMES.get(name, {})
    found = Counter(records["verdict"]) if outcomes else Counter()
    wide = tables.wide(name, records, store)
    return Table(
        **named("table", name),
        wide=wide,
        outcomes=outcomes,
        counts={word: found[word] for word in outcomes},
    )


def judged(store: Store, name: str) -> Judgements:
    """The claims or the experiments of a stored table."""
    records = stored(store, name)
    wide = tables.wide(name, records, store)
    entries = list_of(wide, signs_of(store, name, records))
    counted = entries if name == "claims" else [contrast for each in entries for contrast in each.contrasts]
    found, outcomes = Counter(each.outcome for each in counted), OUTCOMES[name]
    counts = {word: found[word] for word in outcomes}
    return Judgements(**named("table", name), outcomes=outcomes, counts=counts, entries=entries, notes=wide.notes)


def stored(store: Store, name: str) -> pd.DataFrame:
    """The records of a table as its job wrote them."""
    return tables.read(store.opened(store.paths.table(name)))


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
        **named("figure", name),
        note=files.read_json(path.with_suffix(".json"))["note"],
        picture=base64.b64encode(buffer.getvalue()).decode(),
        width=reduced.width,
        height=reduced.height,
    )


def named(kind: Kind, name: str) -> dict[str, str]:
    """What every table and figure is shown with."""
    entry = exhibit(kind, name)
    return {"name": name, "anchor": f"{kind}-{name}", "heading": entry.title, "caption": entry.caption}
