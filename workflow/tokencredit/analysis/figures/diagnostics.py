"""How each method spreads its credit over tokens: one panel per diagnostic, one line per method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tokencredit.analysis import style
from tokencredit.analysis.credit.diagnostics import notes, records, titles
from tokencredit.analysis.store import Store
from tokencredit.credit import QUADRANTS

# A panel's title, the words below it, and its ends; None ends where the data do.
POINTS = {
    "weight_gini": ("Gini", "Gini coefficient\nof token weights", (0, 1)),
    "effective_tokens": ("Effective", "effective tokens,\nshare of response", (0, 1)),
    "sign_changes": ("Signs", "tokens of changed\nsign (%)", (0, 100)),
    "correlation_entropy": ("Entropy", "correlation of weight\nand entropy", (-1, 1)),
    "correlation_position": ("Place", "correlation of weight\nand place", (-1, 1)),
    "correlation_logprob": ("log π", "correlation of weight\nand log-probability", (-1, 1)),
    "credit_mean": ("Size", "mean |A| of a token", (0, None)),
}
FEW = 16  # methods that fit twice below each other on a page


def draw(store: Store) -> style.Drawn:
    """Points are means over the training steps, bars hold the middle 90 % of the steps; the credit's quadrants are stacked bars."""
    table = records(store)
    lines = {name: line for name, line in style.lines(store.study).items() if name in store.study.methods}
    rows, width = (2, 7.2) if len(lines) <= FEW else (1, 11)
    panels = len(POINTS) + 1
    fig, axes = style.figure(rows, panels // rows, width=width, height=0.75 + 0.14 * len(lines))
    values = {name: part.set_index("method").loc[list(lines)] for name, part in table.groupby("diagnostic")}
    for axis, (name, (_, label, ends)) in zip(axes.flat, POINTS.items(), strict=False):
        _points(axis, values[name], lines)
        axis.set(xlabel=label, xlim=ends)
        style.zero(axis)
    _bars(axes.flat[-1], [values[f"mass_{name}"]["value"].to_numpy() for name in QUADRANTS])
    shown = titles(table)
    for index, axis in enumerate(axes.flat):
        style.letter(axis, index, [*(title for title, *_ in POINTS.values()), "Quadrants"][index])
        axis.set_ylim(len(lines) - 0.4, -0.6)
        axis.set_yticks(range(len(lines)), [shown[name] for name in lines] if index % axes.shape[1] == 0 else [])
        axis.tick_params(axis="y", length=0)
        axis.xaxis.set_major_locator(MaxNLocator(2))
    style.legend_below(fig, axes.flat[-1], columns=4)
    return style.Drawn(fig, table, " ".join(notes(table)))


def _points(axis: Axes, table: pd.DataFrame, lines: dict[str, style.Line]) -> None:
    """A method's mean with the spread of its steps; a dash where it has none."""
    for place, (name, line) in enumerate(lines.items()):
        value, low, high = table.loc[name, ["value", "low", "high"]].astype(float)
        if np.isnan(value):
            axis.text(0, place, "–", ha="center", va="center", color="#7f7f7f")
            continue
        axis.plot([low, high], [place, place], color=line.colour, linewidth=style.BAR, solid_capstyle="butt")
        axis.plot(value, place, color=line.colour, marker=line.marker, linestyle="", clip_on=False, zorder=3)


def _bars(axis: Axes, shares: list[np.ndarray]) -> None:
    """Four shares of each method, side by side to 100 %."""
    start = np.zeros(len(shares[0]))
    for name, share in zip(QUADRANTS, np.nan_to_num(shares), strict=True):
        axis.barh(
            range(len(share)),
            share,
            left=start,
            height=0.75,
            color=style.KNOWN[name][0],
            label=style.QUADRANT_TITLES[name],
        )
        start += share
    axis.set(xlabel="share of credit |A|\nby quadrant (%)", xlim=(0, 100))
