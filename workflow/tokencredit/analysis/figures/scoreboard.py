"""How well each method's token weights agree with measured credit, against the final score of the policy that it trains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import labels, style
from tokencredit.analysis.credit.learning import ANSWER, SCORE, controls
from tokencredit.analysis.credit.scoreboard import ENTROPY, EQUAL, METHOD, ORACLE, PEER, SHUFFLED, notes, records
from tokencredit.analysis.store import Store

NAMED = 20  # methods whose names find room beside their points; of more, those that a reader looks for
APART = 0.08  # and those that are so far from the next one, of an axis
TALL = 25  # methods from which on the plane is no longer as tall as their list
AGREEMENT = "Spearman's ρ of weight and |Q − V|,\nwithin a response"
CLEAR = 50  # what a name that covers a point of many counts for, where one that covers a line counts for 1
PIECES = 24  # of an arrow, each of which names keep clear of
BAND = "#009e73"
LINES = {ENTROPY: ("#0072b2", style.DASHED), EQUAL: ("#000000", style.SOLID), SHUFFLED: ("#d55e00", style.DOTTED)}


def draw(store: Store) -> style.Drawn:
    """(a) Agreement of weights and measured credit, the best first, beside that of the peers. (b) The final score against it.

    An arrow leads from a control to its method; the control has as much weight on other tokens.
    """
    table = records(store)
    shown = table[table["metric"].isin(["rho", "rho_unequal", SCORE]) | (table["part"] == ANSWER)]
    lines = style.marked_lines(store, store.study.methods)
    methods = table[table["part"] == METHOD].pivot(index="method", columns="metric")
    methods = methods[methods["value", "rho"].notna()].sort_values(("value", "rho"), ascending=False, kind="stable")
    unequal = methods[methods["n", "rho_unequal"] > 0]
    tall = len(unequal) > TALL
    fig = style.page(9 if tall else 7.2, max(3.6, 1.4 + 0.135 * len(unequal)))
    left, right = style.panels(fig, 1, 2, width_ratios=[1, 1.3]).flat
    _dots(left, unequal, lines)
    _peers(left, table[(table["part"] == PEER) & (table["metric"] == "rho")].set_index("method"))
    _plane(right, methods, lines)
    arrows = _arrows(right, methods, controls(store.study))
    style.letter(left, 0, "Agreement")
    style.letter(right, 1, "Agreement and final score")
    style.legend_below(fig, left, columns=4)
    if tall:
        right.set(box_aspect=1, anchor="N")
    fig.draw_without_rendering()
    if len(methods):
        labels.place(right, _labels(store, methods, lines), [*_bars(methods), *_shafts(arrows)])
    told = ["Arrows in (b) lead from a control to its method."] if arrows else []
    said = [*notes(table, store), *told, *style.marks_note(store, lines)]
    return style.Drawn(fig, shown, " ".join(said))


def _dots(axis: Axes, methods: pd.DataFrame, lines: dict[str, style.Line]) -> None:
    for place, (name, values) in enumerate(methods.iterrows()):
        line = lines[name]
        axis.plot([values["low", "rho"], values["high", "rho"]], [place, place], color=line.colour, linewidth=style.BAR)
        axis.plot(values["value", "rho"], place, color=line.colour, marker=line.marker, linestyle="", zorder=3)
    style.listed(axis, [lines[name].title for name in methods.index], room=4)
    axis.set_xlabel(AGREEMENT)


def _peers(axis: Axes, peers: pd.DataFrame) -> None:
    for name, (colour, dash) in LINES.items():
        line = peers.loc[name]
        axis.axvline(line["value"], color=colour, linestyle=dash, linewidth=style.BAR, zorder=1, label=line["title"])
    oracle = peers.loc[ORACLE]
    axis.axvspan(oracle["low"], oracle["high"], color=BAND, alpha=0.2, linewidth=0, zorder=0, label=oracle["title"])


def _plane(axis: Axes, methods: pd.DataFrame, lines: dict[str, style.Line]) -> None:
    faint = 0.5 if len(methods) <= NAMED else 0.2
    for name, values in methods.iterrows():
        line, (x, y) = lines[name], values["value"][["rho", SCORE]]
        reach = np.abs(
            [[values[end, measure] - values["value", measure] for end in ("low", "high")] for measure in ("rho", SCORE)]
        )
        axis.errorbar(
            x, y, xerr=reach[:1].T, yerr=reach[1:].T, fmt="none", ecolor=line.colour, elinewidth=style.BAR, alpha=faint
        )
        axis.plot(x, y, color=line.colour, marker=line.marker, linestyle="", zorder=3)
    axis.set(xlabel=AGREEMENT, ylabel="final score: mean Avg@n (%)")
    axis.margins(0.08)


def _arrows(axis: Axes, methods: pd.DataFrame, of: dict[str, str]) -> list[np.ndarray]:
    """From each control to its method; where they were drawn, [2, 2] each."""
    points = methods["value"][["rho", SCORE]]
    shape = {"arrowstyle": "->", "color": style.INK, "linewidth": style.BAR, "shrinkA": 4, "shrinkB": 5}
    drawn = [
        points.loc[[control, method]].to_numpy()
        for control, method in of.items()
        if {control, method} <= {*points.index}
    ]
    for start, end in drawn:
        axis.annotate("", end, start, arrowprops=shape, zorder=2)
    return drawn


def _shafts(arrows: list[np.ndarray]) -> list[tuple[float, float, float, float]]:
    """Arrows as many short lines, for names to keep clear of."""
    cuts = [start + (end - start) * np.linspace(0, 1, PIECES + 1)[:, None] for start, end in arrows]
    return [(*one, *next_one) for cut in cuts for one, next_one in pairwise(cut)]


def _labels(store: Store, methods: pd.DataFrame, lines: dict[str, style.Line]) -> list[labels.Label]:
    """The methods to name where there are many: outlying ones, the reference, DAPO, EAPO and its shuffled control."""
    points = methods["value"][["rho", SCORE]]
    chosen = list(methods.index)
    if len(chosen) > NAMED:
        known = {store.study.reference, "dapo", "eapo", "eapo-shuffled"}
        chosen = [name for name, apart in zip(chosen, _apart(points), strict=True) if apart > APART or name in known]
    return [labels.Label(*points.loc[name], lines[name].title, lines[name].colour) for name in chosen]


def _apart(points: pd.DataFrame) -> np.ndarray:
    """How far each point is from its nearest neighbour, of the widths of both axes [n]."""
    widths = (points.max() - points.min()).replace(0, 1)  # an axis that all share keeps none apart
    places = (points / widths).to_numpy()
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return np.nanmin(distances, axis=1)


def _bars(methods: pd.DataFrame) -> list[tuple[float, float, float, float]]:
    """What names keep clear of: the intervals, or of many methods the points alone."""
    found = []
    for _, values in methods.iterrows():
        (x, y), (left, below), (right, above) = (values[key][["rho", SCORE]] for key in ("value", "low", "high"))
        found += [(left, y, right, y), (x, below, x, above)] if len(methods) <= NAMED else [(x, y, x, y)] * CLEAR
    return found
