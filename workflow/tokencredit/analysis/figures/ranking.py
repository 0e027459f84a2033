"""How often each method's credit ranks alternatives right, and how far it finds credit, beside weights of no method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import style
from tokencredit.analysis.credit.beyond_null import ALTERNATIVES, DEALT
from tokencredit.analysis.credit.ranking import METHOD, records
from tokencredit.analysis.credit.states import CONFIDENCE
from tokencredit.analysis.store import Store

PEER = style.Line(style.INK, "", "s", "")
NULL = style.Line(style.PAPER, "", "|", "the same advantages in random order within each response")
PANELS = {
    ALTERNATIVES: ("Alternatives", "pairs of alternatives\nranked right (%)", 100),
    "auc": ("Credit", "AUC of the weight's size by (Q − V)²", 1),
}


def draw(store: Store) -> style.Drawn:
    """(a) Share of pairs of alternatives that are ranked right. (b) AUC. The best of (a) first, peers above methods."""
    table = records(store)
    wide = table.pivot(index=["part", "method"], columns="metric")
    order = wide["value"].sort_values(ALTERNATIVES, ascending=False, kind="stable").index
    order = sorted(order, key=lambda key: key[0] == METHOD)
    lines = style.marked_lines(store, store.study.methods)
    titles = table.drop_duplicates(["part", "method"]).set_index(["part", "method"])["title"]
    fig, axes = style.figure(1, len(PANELS), height=0.75 + 0.14 * len(order))
    for index, (axis, (metric, (title, words, scale))) in enumerate(zip(axes.flat, PANELS.items(), strict=True)):
        own = table[table["metric"] == metric].set_index(["part", "method"]).loc[order]
        _rows(axis, own, lines, scale)
        named = [lines[name].title if part == METHOD else titles[part, name] for part, name in order]
        style.listed(axis, named, named=index == 0)
        axis.set_xlabel(words)
        style.letter(axis, index, title)
    axes.flat[0].plot([], [], color=NULL.colour, marker=NULL.marker, linestyle="", label=NULL.title)
    style.legend_below(fig, axes.flat[0], columns=1)
    return style.Drawn(fig, table, " ".join([_note(store, table), *style.marks_note(store, lines)]))


def _rows(axis: Axes, own: pd.DataFrame, lines: dict[str, style.Line], scale: float) -> None:
    for place, ((part, name), values) in enumerate(own.iterrows()):
        line = lines[name] if part == METHOD else PEER
        axis.plot(
            [scale * values["low"], scale * values["high"]], [place, place], color=line.colour, linewidth=style.BAR
        )
        axis.plot(scale * values["value"], place, color=line.colour, marker=line.marker, linestyle="", zorder=3)
        axis.plot(
            scale * values["null"], place, color=NULL.colour, marker=NULL.marker, linestyle="", markersize=7, zorder=1
        )


def _note(store: Store, table: pd.DataFrame) -> str:
    pairs = table.loc[table["metric"] == ALTERNATIVES, "n"]
    return (
        f"Responses of the first step, under the base model. (a) n = {pairs.min():,} to {pairs.max():,} pairs of different tokens that "
        "responses to a problem took at one state and whose Q differ by more than the interval of their difference; ties count one half. "
        f"Grey: the mean of {DEALT} random orders, what the outcome alone tells. (b) one half is what equal weights have. Bars: "
        f"{100 * CONFIDENCE:.0f} % intervals over problems; {len(store.study.training.seeds)} training seed(s)."
    )
