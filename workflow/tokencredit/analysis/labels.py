"""Labels beside points, placed so that none covers another, a point or a line, or leaves the panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tokencredit.analysis import style

MARK, STROKE = 4.0, 1.5  # a point's own square and the width of a line, in points
RINGS = (5, 9, 14, 20, 27, 35, 44, 54, 65, 80, 100)  # how far from its point a name may stand, in points
COVERED = 100  # what covering a square point of another name costs, where covering one of a line, or standing a point further away, costs 1
FAR = 9  # a name further away than this is tied to its point by a line
DIRECTIONS = np.pi / 8 + np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclass(frozen=True)
class Label:
    """A name for the point (x, y) of the panel's data."""

    x: float
    y: float
    text: str
    colour: str


def place(axis: Axes, labels: Sequence[Label], lines: Sequence[tuple[float, float, float, float]] = ()) -> None:
    """Write every name at a free place near its point; where none is free, at the one that covers least.

    ``lines``: level and upright lines to keep clear of where that is near, (x, y, x, y) of the panel's data. The panel's limits must be
    final and its figure laid out (``draw_without_rendering``): places are measured in points of the page.
    """
    points = axis.transData.transform([(label.x, label.y) for label in labels]) * 72 / axis.figure.dpi
    frame = np.array(axis.get_window_extent().extents) * 72 / axis.figure.dpi
    taken = [np.array([x - MARK / 2, y - MARK / 2, x + MARK / 2, y + MARK / 2]) for x, y in points]
    ends = [axis.transData.transform(np.reshape(line, (2, 2))) * 72 / axis.figure.dpi for line in lines]
    strokes = [np.concatenate([pair.min(0) - STROKE / 2, pair.max(0) + STROKE / 2]) for pair in ends]
    for label, point in zip(labels, points, strict=True):
        width, height = extent(label.text, style.SMALL)
        boxes = [(box, ring) for ring in RINGS for box in _around(point, ring, width, height)]
        costs = [
            COVERED * (sum(_overlap(box, other) for other in taken) + _outside(box, frame))
            + sum(_overlap(box, other) for other in strokes)
            + ring
            for box, ring in boxes
        ]
        box = boxes[int(np.argmin(costs))][0]
        taken.append(box)
        x, y = (box[:2] + box[2:]) / 2 - point
        far = np.hypot(*(np.clip(point, box[:2], box[2:]) - point)) > FAR
        axis.annotate(
            label.text,
            (label.x, label.y),
            (x, y),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=style.SMALL,
            color=style.ink(label.colour),
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": style.HAIR} if far else None,
        ).set_in_layout(False)


def extent(text: str, size: float) -> tuple[float, float]:
    """Width and height of a line of text in points, taken letter by letter: no markup in it means anything."""
    width, height, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=size), ismath=False
    )
    return width, max(height, size)


def _around(point: np.ndarray, ring: float, width: float, height: float) -> list[np.ndarray]:
    """Boxes whose nearest side is about ``ring`` points away, to the right first."""
    centres = [
        point + np.array([np.cos(angle) * (ring + width / 2), np.sin(angle) * (ring + height / 2)])
        for angle in DIRECTIONS
    ]
    half = np.array([width, height]) / 2
    return [np.concatenate([centre - half, centre + half]) for centre in centres]


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(sides.prod()) if (sides > 0).all() else 0.0


def _outside(box: np.ndarray, frame: np.ndarray) -> float:
    return float((box[2:] - box[:2]).prod()) - _overlap(box, frame)
