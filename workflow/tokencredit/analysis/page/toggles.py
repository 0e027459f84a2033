"""The methods that a reader may hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.markers import MarkerStyle

from tokencredit.analysis import style
from tokencredit.config import Study

_LETTERS = {1: "M", 2: "L", 4: "C", 79: "Z"}  # of an SVG path, by matplotlib's code of a segment
_SIZE = 10  # units of the drawing: the width of a square


@dataclass(frozen=True)
class Toggle:
    """A method: its name in the address, its title, its mark as an SVG path.

    ``line``: the number of its colour, None where nothing is drawn of it yet.
    """

    name: str
    title: str
    line: int | None
    mark: str


def toggles(study: Study, drawn: Study) -> list[Toggle]:
    """The methods of ``study`` as figures draw them. ``drawn``: the study that colours are numbered by, a cut of it while it runs."""
    own = style.lines(drawn)
    lines = style.lines(study) | own
    return [
        Toggle(name, lines[name].title, list(own).index(name) if name in own else None, _path(lines[name].marker))
        for name in style.lines(study)
        if name in study.methods
    ]


def _path(marker: str) -> str:
    """A mark of matplotlib, upright where the y axis of SVG points down."""
    drawn = MarkerStyle(marker)
    flipped = drawn.get_path().transformed(drawn.get_transform().scale(_SIZE, -_SIZE))
    return "".join(
        _LETTERS[code] + ("" if code == 79 else " ".join(f"{place:g}" for place in np.round(places, 2)))
        for places, code in flipped.iter_segments(curves=True)
    )
