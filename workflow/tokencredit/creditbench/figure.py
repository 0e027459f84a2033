"""The leaderboard as a figure: agreement less its null of every method, at each measured policy, beside the references."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tokencredit import files
from tokencredit.analysis import style
from tokencredit.creditbench.board import METHOD, OWN, REFERENCE, ordered
from tokencredit.creditbench.records import Shipped

MEASURES = {
    "auc": "AUC of credit",
    "rho": "rank correlation",
    "lift": "credit per weight",
    "alternatives": "alternatives",
}
# Blue, orange, green, red-purple: told apart with any kind of colour vision (Okabe and Ito), and by their markers.
LOOKS = (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^"), ("#cc79a7", "D"))
NAMES = {METHOD: "#000000", REFERENCE: "#555555", OWN: "#d55e00"}


def save(shipped: Shipped, table: pd.DataFrame, out: Path | None = None) -> list[Path]:
    """Write ``leaderboard.pdf`` and ``.png``; the same table gives the same bytes."""
    fig = draw(shipped, table)
    paths = [(out or shipped.folder) / f"leaderboard.{suffix}" for suffix in ("pdf", "png")]
    mpl.rcParams.update(style.RC)
    for path, metadata in zip(paths, ({"CreationDate": None}, {"Software": None}), strict=True):
        with files.atomic_path(path) as temporary:
            fig.savefig(temporary, metadata=metadata, format=path.suffix[1:])
    return paths


def draw(shipped: Shipped, table: pd.DataFrame) -> Figure:
    """One row per method whose weights differ in some response, ordered by the first policy; a panel for each measure less its null."""
    policies = {name: entry.title for name, entry in shipped.bench.policies.items()}
    found = {name: ordered(table, name, shipped.bench.order) for name in policies}
    first = found[next(iter(policies))]
    rows = first.index[first["unequal"].astype(bool)]
    place = pd.Series(np.arange(len(rows), dtype=float), rows)
    fig = style.page(9, 1.3 + 0.135 * len(rows))
    axes = style.panels(fig, 1, len(MEASURES), sharey=True).flat
    for index, (axis, (measure, title)) in enumerate(zip(axes, MEASURES.items(), strict=True)):
        axis.axvline(0, color=style.INK, linewidth=style.BAR, zorder=1)
        for number, (name, (colour, marker)) in enumerate(zip(policies, LOOKS, strict=False)):
            lines = found[name].loc[found[name].index.intersection(rows, sort=False)]
            value, low, high = (lines[column, measure].to_numpy(float) for column in ("less", "less_low", "less_high"))
            reach = np.nan_to_num(np.maximum(0, [value - low, high - value]))
            places = place[lines.index] + 0.3 * (number - (len(policies) - 1) / 2)
            n = f"n = {lines['n', measure].max():,.0f}"
            look = {"fmt": marker, "color": colour, "elinewidth": style.BAR}
            axis.errorbar(value, places, xerr=reach, label=policies[name], **look)
            place_of_n = {"xytext": (0, -8 * number), "xycoords": "axes fraction", "textcoords": "offset points"}
            axis.annotate(n, (1, 1), **place_of_n, ha="right", va="bottom", color=style.ink(colour))
        axis.set_xlabel(f"{title}, less its null")
        axis.grid(visible=False, axis="y")
        axis.tick_params(axis="y", length=0)
        style.letter(axis, index, "")
        if measure == "lift":
            axis.set_xscale("symlog", linthresh=0.1)
    axes[0].set_yticks(place, first.loc[rows, "title"].tolist(), parse_math=False)
    for text, part in zip(axes[0].get_yticklabels(), first.loc[rows, "part"], strict=True):
        text.set(color=NAMES[part], fontstyle="normal" if part == METHOD else "italic")
    axes[0].set_ylim(len(rows) - 0.3, -1.5)
    style.legend_below(fig, axes[0], columns=len(policies))
    return fig
