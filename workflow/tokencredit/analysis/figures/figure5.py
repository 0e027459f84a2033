"""Figure 5: Pass@k against k of the quadrant checkpoints and the base model, per benchmark."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from tokencredit.analysis import style
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.statistics import mean_interval
from tokencredit.statistics.estimators import pass_at_k
from tokencredit.study.selection import figure5_rows

APART = 0.1  # doublings of k between the bars of two methods


def draw(store: Store) -> style.Drawn:
    """Unbiased Pass@k for k = 1 … n, one panel per benchmark with more than one response, bars are 95 % intervals over questions."""
    study = store.study
    benchmarks = {name: benchmark for name, benchmark in study.averaged.items() if benchmark.samples > 1}
    rows = figure5_rows(study)
    lines = style.marked_lines(store, [row.name for row in rows])
    columns = min(3, len(benchmarks))
    fig, axes = style.figure(-(-len(benchmarks) // columns), columns, height=2.4)
    tables = []
    for index, (benchmark, settings) in enumerate(benchmarks.items()):
        axis = axes.flat[index]
        for place, (name, line) in enumerate(lines.items()):
            table = pass_curve(store, [row for row in rows if row.name == name], benchmark)
            style.curve(axis, table["k"], table["value"], line, markers=settings.samples <= 16)
            barred = table.loc[sorted({(table["k"] - k).abs().idxmin() for k in 4 ** np.arange(16)})]
            style.bars(axis, barred["k"] * 2 ** (APART * (place - (len(lines) - 1) / 2)), barred, line)
            tables.append(table.assign(benchmark=benchmark, method=name, source="here"))
        tables += _printed(store, axis, benchmark, lines)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set(xlabel="k (responses)", ylabel="Pass@k (%)" if index % columns == 0 else "")
        style.letter(axis, index, f"{settings.title}, n = {settings.problems}")
    for axis in axes.flat[len(benchmarks) :]:
        axis.set_visible(False)
    if "figure5" in study.targets:
        style.printed_key(axes.flat[0])
    style.legend_below(fig, axes.flat[0], columns=len(lines) + ("figure5" in study.targets))
    samples = ", ".join(f"{benchmark.title} {benchmark.samples}" for benchmark in benchmarks.values())
    note = f"n questions per panel; responses per question: {samples}; {style.seeds_note(study)}; bars are 95 % intervals over questions."
    columns = ["benchmark", "source", "method", "k", "value", "low", "high", "invalid"]
    table = style.with_invalid(pd.concat(tables, ignore_index=True), store)
    return style.Drawn(fig, table[columns], " ".join([note, *style.marks_note(store, lines)]))


def pass_curve(store: Store, rows: list[Row], benchmark: str) -> pd.DataFrame:
    """Pass@k in percent for k = 1 … n (every k up to 32, then 16 per doubling), seeds averaged per question."""
    parts = [table[table["benchmark"] == benchmark].sort_values("problem_id") for table in map(store.scores, rows)]
    n = int(parts[0]["n"].iloc[0])
    k = np.unique(np.concatenate([np.arange(1, min(n, 32) + 1), np.geomspace(1, n, 128).round().astype(int)]))
    scores = np.mean(
        [pass_at_k(part["n"].to_numpy()[:, None], part["right"].to_numpy()[:, None], k) for part in parts], axis=0
    )
    ends = 100 * np.array([mean_interval(column) for column in scores.T])
    return pd.DataFrame({"k": k, "value": 100 * scores.mean(0), "low": ends[:, 0], "high": ends[:, 1]})


def _printed(store: Store, axis: Axes, benchmark: str, lines: dict[str, style.Line]) -> list[pd.DataFrame]:
    """The paper's points, read off its plot, where the study is to show them again; returns what was drawn."""
    if "figure5" not in store.study.targets:
        return []
    found = store.targets("figure5").rename(columns={"pass_percent": "value"})
    drawn = []
    for method, part in found[found["benchmark"] == benchmark].groupby("method"):
        if method in lines:
            style.printed(axis, part["k"], part["value"], lines[method])
            drawn.append(part[["benchmark", "method", "k", "value"]].assign(source="paper"))
    return drawn
