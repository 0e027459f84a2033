"""Figure 3: what a method gains in training, and what its responses cost."""

from __future__ import annotations

from itertools import pairwise
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from tokencredit import statistics
from tokencredit.analysis import labels, style
from tokencredit.analysis.figures.figure2 import evaluation_curve
from tokencredit.analysis.store import Store

NAMED = 20  # methods whose names find room beside their points; of more, their numbers
TITLE = 24  # letters in a line of a small panel's title
COLUMNS = (
    "panel",
    "source",
    "method",
    "step",
    "tokens",
    "tokens_low",
    "tokens_high",
    "value",
    "low",
    "high",
    "front",
    "invalid",
)


def draw(store: Store) -> style.Drawn:
    """(a) Avg@n on the curve benchmark against training steps, a panel per method. (b) Avg@n there against the length of a response."""
    study = store.study
    benchmark = study.benchmarks[study.training.curve.benchmark]
    shown = titles(store)
    few = len(study.methods) <= NAMED
    down = -(-len(study.methods) // (5 if few else 7))
    across = -(-len(study.methods) // down)
    plane = 3.0 if few else 4.2
    fig = style.page(7.2 if few else 9, 1.05 * down + 0.4 + plane)
    above, below = fig.subfigures(2, 1, height_ratios=[1.05 * down + 0.4, plane])
    curve = study.training.curve
    curves = curve_panels(above, store, shown, study.reference, across)
    above.suptitle(f"(a) {benchmark.title}: Avg@{curve.samples} in training", **_HEADING)
    axis = style.panels(below, 1, 1).flat[0]
    ends = final(store, curve.benchmark)
    ends["front"] = front(ends["tokens"], ends["value"], ends["invalid"])
    paper = _printed(store, curve.benchmark)
    steps = _plane(axis, store, ends, paper, shown)
    axis.set(xlabel="mean length of a response (tokens)", ylabel=f"Avg@{benchmark.samples} (%)")
    below.suptitle(f"(b) {benchmark.title}: accuracy and length after training", **_HEADING)
    fig.draw_without_rendering()
    _names(axis, store, ends, paper, shown, steps)
    table = pd.concat([curves.assign(panel="curve"), ends.assign(panel="plane"), paper.assign(panel="plane")])
    note = (
        f"{benchmark.title}, {style.seeds_note(study)}; bars and bands are 95 % intervals over questions. (a) n = {curve.problems} "
        f"questions with {curve.samples} responses each; grey: the other methods, black: {study.methods[study.reference].title}. (b) n = "
        f"{benchmark.problems} questions with {benchmark.samples} responses each; the line joins the points that no other beats in both "
        "(invalid runs aside), whatever their intervals."
    )
    said = [note, "Grey: the paper."] if len(paper) else [note]
    said += style.marks_note(store, style.marked_lines(store, shown))
    return style.Drawn(fig, style.with_invalid(table, store).reindex(columns=COLUMNS), " ".join(said))


_HEADING = {"x": 0.01, "ha": "left"}


def titles(store: Store) -> dict[str, str]:
    """The rows of a study in their order, trained methods numbered where they are many, reconstructed and invalid ones marked."""
    study = store.study
    many = len(study.methods) > NAMED
    found = {}
    for name, line in style.marked_lines(store, [row.name for row in study.rows]).items():
        number = f"{1 + sum(other in study.methods for other in found)} " if many and name in study.methods else ""
        found[name] = number + line.title
    return found


def curve_panels(parent: FigureBase, store: Store, shown: dict[str, str], reference: str, columns: int) -> pd.DataFrame:
    """One panel for each trained method of ``shown`` (name: title), with the others in grey and ``reference``; returns the curves."""
    lines = style.lines(store.study)
    chosen = [name for name in shown if name in store.study.methods]
    curves = {name: evaluation_curve(store, name, "avg") for name in chosen}
    rows = -(-len(chosen) // columns)
    axes = style.panels(parent, rows, columns, sharex=True, sharey=True)
    for index, axis in enumerate(axes.flat):
        if index >= len(chosen):
            axis.set_visible(False)
            continue
        name = chosen[index]
        for other, table in curves.items():
            if other not in (name, reference):
                axis.plot(table["step"], table["value"], color="#d9d9d9", linewidth=style.HAIR, zorder=1)
        if reference in curves and name != reference:
            against = curves[reference]
            axis.plot(against["step"], against["value"], color=lines[reference].colour, linewidth=style.BAR)
        own = curves[name]
        style.curve(axis, own["step"], own["value"], lines[name], (own["low"], own["high"]), markers=len(own) <= 12)
        axis.set_title(fill(shown[name], TITLE), loc="left", fontsize=style.SMALL, parse_math=False)
        if index >= len(chosen) - columns:
            style.steps(axis)
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axis.tick_params(labelbottom=True)
        if index % columns == 0:
            axis.set_ylabel(f"Avg@{store.study.training.curve.samples} (%)")
    return pd.concat([table.assign(method=name, source="here") for name, table in curves.items()], ignore_index=True)


def final(store: Store, benchmark: str) -> pd.DataFrame:
    """One line per row of the study, the base included: Avg@n in percent and the mean length of a response in tokens on a benchmark.

    Seeds are averaged per question. Intervals are over questions, 95 %: ``mean_interval`` of the scores, Student's t for the lengths.
    """
    records = []
    for name in style.lines(store.study):
        rows = [row for row in store.study.rows if row.name == name]
        parts = [store.questions(row, benchmark) for row in rows]
        scores = np.mean([part["right"] / part["n"] for part in parts], axis=0)
        lengths = np.mean([part["tokens"] for part in parts], axis=0)
        low, high = statistics.mean_interval(scores)
        reach = statistics.margin_of([(statistics.question_se(lengths) ** 2, lengths.size - 1)], 0.025)
        records.append(
            {
                "source": "here",
                "method": name,
                "tokens": lengths.mean(),
                "tokens_low": lengths.mean() - reach,
                "tokens_high": lengths.mean() + reach,
                "value": 100 * scores.mean(),
                "low": 100 * low,
                "high": 100 * high,
                "invalid": rows[0].method is not None and store.invalid(name) != "",
            }
        )
    return pd.DataFrame(records)


def front(tokens: pd.Series, value: pd.Series, without: pd.Series) -> list[bool]:
    """Which points are Pareto-optimal: no other has as few tokens and as high a value, and one of the two better; ``without``: left out."""
    points = list(zip(tokens, value, without, strict=True))
    return [
        not left_out
        and not any(t <= x and v >= y and (t, v) != (x, y) for t, v, other_left_out in points if not other_left_out)
        for x, y, left_out in points
    ]


def _plane(axis: Axes, store: Store, ends: pd.DataFrame, paper: pd.DataFrame, shown: dict[str, str]) -> np.ndarray:
    """Draw the points; returns the corners of the front's line, [n, 2]."""
    lines = style.lines(store.study)
    for point in paper.itertuples():
        style.printed(axis, point.tokens, point.value, lines[point.method])
    faint = 0.55 if len(store.study.methods) <= NAMED else 0.15
    for point in ends.itertuples():
        line = lines[point.method]
        axis.errorbar(
            point.tokens,
            point.value,
            xerr=[[point.tokens - point.tokens_low], [point.tokens_high - point.tokens]],
            yerr=[[point.value - point.low], [point.high - point.value]],
            fmt="none",
            ecolor=line.colour,
            elinewidth=style.BAR,
            alpha=faint,
        )
        axis.plot(point.tokens, point.value, color=line.colour, marker=line.marker, linestyle="", zorder=3)
    axis.margins(0.06)
    best = ends[ends["front"]].sort_values("tokens")
    right = axis.get_xlim()[1]
    x, y = [*best["tokens"], right], best["value"].to_numpy()
    corners = np.array([(x[i + step], y[i]) for i in range(len(y)) for step in (0, 1)])
    axis.plot(*corners.T, color=style.INK, linewidth=style.BAR, zorder=2)
    axis.set_xlim(right=right)
    return corners


def _names(
    axis: Axes, store: Store, ends: pd.DataFrame, paper: pd.DataFrame, shown: dict[str, str], steps: np.ndarray
) -> None:
    lines = style.lines(store.study)
    many = len(store.study.methods) > NAMED
    names = [
        labels.Label(
            point.tokens,
            point.value,
            shown[point.method].split()[0] if many and point.method in store.study.methods else shown[point.method],
            lines[point.method].colour,
        )
        for point in ends.itertuples()
    ]
    names += [
        labels.Label(point.tokens, point.value, lines[point.method].title, style.PAPER) for point in paper.itertuples()
    ]
    bars = [(end.tokens_low, end.value, end.tokens_high, end.value) for end in ends.itertuples()]
    bars += [(end.tokens, end.low, end.tokens, end.high) for end in ends.itertuples()]
    bars += [(*start, *end) for start, end in pairwise(steps)]
    labels.place(axis, names, bars if not many else [])


def _printed(store: Store, benchmark: str) -> pd.DataFrame:
    """The paper's points where the study is to show them again: method, tokens, value."""
    if "figure3" not in store.study.targets:
        return pd.DataFrame(columns=["source", "method", "tokens", "value"], dtype=float)
    found = store.targets("figure3").query("benchmark == @benchmark")
    wide = found.pivot(index="method", columns="metric", values="value").rename(columns={"avg": "value"})
    wide = wide[wide.index.isin(style.lines(store.study))]
    return wide.reset_index()[["method", "tokens", "value"]].assign(source="paper")
