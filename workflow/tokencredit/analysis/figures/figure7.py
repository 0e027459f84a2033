"""Figure 7: how strong the entropy term should be."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit import statistics
from tokencredit.analysis import style
from tokencredit.analysis.figures.figure3 import curve_panels
from tokencredit.analysis.layout import marked
from tokencredit.analysis.store import Store
from tokencredit.statistics import NAN
from tokencredit.study.selection import alpha_sweep, without_entropy_term

MEAN = "mean"
SOURCE = "table9"  # the paper prints the numbers of its sweep there
COLUMNS = ("panel", "source", "method", "alpha", "seed", "benchmark", "step", "value", "low", "high", "invalid")


def draw(store: Store) -> style.Drawn:
    """EAPO's alpha: (a) Avg@n against training steps, (b) the mean over benchmarks against alpha, (c) each benchmark."""
    study = store.study
    sweep, plain = alpha_sweep(study), without_entropy_term(study)
    chosen = {**({plain: 0.0} if plain else {}), **sweep}
    lines = style.marked_lines(store, chosen)
    shown = {name: marked(f"α = {alpha:g}", False, store.invalid(name)) for name, alpha in sweep.items()}
    if plain:
        shown = {plain: lines[plain].title, **shown}
    across = min(len(shown), 7)
    down = -(-len(shown) // across)
    fig = style.page(7.2, 1.05 * down + 0.4 + 2.9)
    above, below = fig.subfigures(2, 1, height_ratios=[1.05 * down + 0.4, 2.9])
    curves = curve_panels(above, store, shown, plain or "", across)
    curve = study.training.curve
    title = study.config.benchmarks[curve.benchmark].title
    above.suptitle(f"(a) {title}: Avg@{curve.samples} in training", x=0.01, ha="left")
    columns = [*study.averaged, MEAN] if len(study.averaged) > 1 else list(study.averaged)
    table = pd.concat([scores(store, name, columns).assign(alpha=alpha) for name, alpha in chosen.items()])
    paper = _printed(store, sweep)
    table = pd.concat([table, paper], ignore_index=True)
    left, right = style.panels(below, 1, 2, width_ratios=[1, 2]).flat
    _sweep(left, store, table[table["benchmark"] == columns[-1]], plain)
    _bars(right, store, table, columns, plain, shown)
    style.letter(left, 1, "Mean over benchmarks" if columns[-1] == MEAN else study.benchmarks[columns[-1]].title)
    style.letter(right, 2, "Benchmarks")
    left.set(xlabel="α", ylabel="Avg@n (%)")
    right.set_ylabel("Avg@n (%)")
    style.legend_below(below, right, columns=4)
    swept, single = table["benchmark"] == columns[-1], table["seed"].notna()
    table["panel"] = np.select([swept & single, single, swept], ["sweep", "not drawn", "sweep and bars"], "bars")
    drawn = pd.concat([curves.assign(panel="curve", alpha=curves["method"].map(chosen)), table])
    note = " ".join([_note(store, plain, len(paper) > 0), *style.marks_note(store, lines)])
    return style.Drawn(fig, style.with_invalid(drawn, store).reindex(columns=COLUMNS), note)


def scores(store: Store, method: str, columns: list[str]) -> pd.DataFrame:
    """Avg@n in percent per benchmark and their unweighted mean: of all seeds with a 95 % interval over questions, then of each seed."""
    rows = [row for row in store.study.rows if row.name == method]
    shares = {}
    for name in store.study.averaged:
        parts = [store.questions(row, name) for row in rows]
        shares[name] = np.array([part["right"] / part["n"] for part in parts])
    records = []
    for column in columns:
        parts = list(shares.values()) if column == MEAN else [shares[column]]
        low, high = statistics.interval_of_mean([part.mean(0) for part in parts])
        runs = np.mean([part.mean(1) for part in parts], axis=0)
        start = {"source": "here", "method": method, "benchmark": column, "seed": NAN}
        records.append(start | {"value": 100 * runs.mean(), "low": 100 * low, "high": 100 * high})
        if len(rows) > 1:
            records += [start | {"seed": row.seed, "value": 100 * run} for row, run in zip(rows, runs, strict=True)]
    return pd.DataFrame(records)


def _sweep(axis: Axes, store: Store, table: pd.DataFrame, plain: str | None) -> None:
    lines = style.lines(store.study)
    here = table[(table["source"] == "here") & (table["method"] != plain)].sort_values("alpha")
    runs, means = here[here["seed"].notna()], here[here["seed"].isna()]
    axis.plot(means["alpha"], means["value"], color=style.INK, linewidth=style.BAR, zorder=2)
    axis.plot(runs["alpha"], runs["value"], ".", color=style.INK, markersize=style.DOT, zorder=4)
    for point in means.itertuples():
        reach = [[point.value - point.low], [point.high - point.value]]
        axis.errorbar(point.alpha, point.value, reach, fmt=lines[point.method].marker, color=lines[point.method].colour)
    if plain:
        zero = table[(table["method"] == plain) & table["seed"].isna()].iloc[0]
        axis.axhline(zero["value"], color=lines[plain].colour, linewidth=style.LINE, linestyle=style.DASHED)
        axis.axhspan(zero["low"], zero["high"], color=lines[plain].colour, alpha=0.08, linewidth=0)
    paper = table[table["source"] == "paper"].sort_values("alpha")
    if len(paper):
        style.printed(axis, paper["alpha"], paper["value"], style.POINTS, linestyle=style.SOLID)
    axis.set_xlim(left=0)


def _bars(
    axis: Axes, store: Store, table: pd.DataFrame, columns: list[str], plain: str | None, shown: dict[str, str]
) -> None:
    """A group of bars for each benchmark, one bar per alpha; α = 0 is a line across the group."""
    lines = style.lines(store.study)
    alphas = table[table["method"] != plain].drop_duplicates("method").sort_values("alpha")
    width = 0.84 / len(alphas)
    values = table[table["seed"].isna()].set_index(["source", "method", "benchmark"])
    for place, name in enumerate(alphas["method"]):
        own = values.loc[[("here", name, column) for column in columns]]
        x = np.arange(len(columns)) + (place - (len(alphas) - 1) / 2) * width
        reach = np.array([own["value"] - own["low"], own["high"] - own["value"]])
        axis.bar(x, own["value"], 0.9 * width, color=lines[name].colour, alpha=0.75, label=shown[name])
        axis.errorbar(x, own["value"], reach, fmt="none", ecolor=style.INK, elinewidth=style.BAR)
        paper = values["value"].reindex([("paper", name, column) for column in columns])
        style.printed(axis, x, paper, style.POINTS, markersize=style.DOT, zorder=4)
    if plain:
        zero = values.loc[[("here", plain, column) for column in columns], "value"]
        ends = np.arange(len(columns))
        axis.hlines(
            zero, ends - 0.46, ends + 0.46, color=lines[plain].colour, linestyle=style.DASHED, linewidth=style.LINE
        )
        axis.plot([], [], color=lines[plain].colour, linestyle=style.DASHED, label=f"α = 0: {shown[plain]}")
    if (table["source"] == "paper").any():
        style.printed_key(axis)
    named = [store.study.benchmarks[column].title if column != MEAN else "mean" for column in columns]
    axis.set_xticks(range(len(columns)), named, rotation=25 if len(columns) > 4 else 0, parse_math=False)
    axis.grid(visible=False, axis="x")


def _printed(store: Store, sweep: dict[str, float]) -> pd.DataFrame:
    """Table 9's numbers where the study is to show them again."""
    if SOURCE not in store.study.targets:
        return pd.DataFrame(columns=["source", "method", "alpha", "benchmark", "value"], dtype=float)
    found = store.targets("tables")
    found = found[(found["table"] == SOURCE) & (found["model"] == store.study.model_name) & (found["metric"] == "avg")]
    found = found[found["method"].isin(sweep)].assign(source="paper", alpha=found["method"].map(sweep))
    return found[["source", "method", "alpha", "benchmark", "value"]]


def _note(store: Store, plain: str | None, paper: bool) -> str:
    study = store.study
    sizes = ", ".join(
        f"{benchmark.title} {benchmark.problems} × {benchmark.samples}" for benchmark in study.averaged.values()
    )
    seeds = len(study.training.seeds)
    said = [
        f"Questions × responses: {sizes}; (a) {study.training.curve.problems} × {study.training.curve.samples}.",
        f"{style.seeds_note(study)[0].upper()}{style.seeds_note(study)[1:]}; bars and bands are 95 % intervals over questions"
        + ("; dots in (b) are the single seeds." if seeds > 1 else "."),
    ]
    if plain:
        same = study.methods[plain].recipe == study.methods[next(iter(alpha_sweep(study)))].recipe
        said.append(
            f"Dashed: {study.methods[plain].title}, "
            + ("which is α = 0." if same else "which is α = 0 but for clipping, KL and sampling of groups.")
        )
    return " ".join([*said, *(["Grey: the paper (Table 9)."] if paper else [])])
