"""The experiments of a study: how fast each method learns, and every contrast that was declared, with its outcome."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit import statistics
from tokencredit.analysis import speed, style
from tokencredit.analysis.paper.claims import CONTRADICTED, NOT_MEASURED, NOT_RESOLVED, SUPPORTED
from tokencredit.analysis.store import Store
from tokencredit.analysis.tables import experiments

COLOURS = {SUPPORTED: style.RIGHT, CONTRADICTED: style.WRONG, NOT_RESOLVED: style.PAPER}
MARKERS = {SUPPORTED: "o", CONTRADICTED: "s", NOT_RESOLVED: "D"}
COLUMNS = ("part", "experiment", "name", "seed", "value", "low", "high", "margin", "outcome")
_ROW = 0.21  # inches


def draw(store: Store) -> style.Drawn:
    """(a) Solve rate of the declared steps of every method: seeds, mean and interval. (b) The contrasts, with the margins of equality."""
    contrasts = experiments.records(store)
    left_out = int((contrasts["outcome"] == NOT_MEASURED).sum())
    contrasts = contrasts[contrasts["outcome"] != NOT_MEASURED]
    methods = _speeds(store)
    rows = max(len(contrasts), methods["name"].nunique(), 4)
    fig = style.page(10.0, _ROW * rows + 1.0)
    left, right = style.panels(fig, 1, 2, width_ratios=[1, 1.15]).flat
    _draw_methods(left, methods)
    _draw_contrasts(right, contrasts)
    steps, seeds = store.study.speed_steps, len(store.study.training.seeds)
    style.letter(left, 0, f"Solve rate of steps {steps[0]} to {steps[-1]}")
    style.letter(right, 1, "Expected, and found")
    fig.legend(*_key(contrasts), loc="outside lower center", ncols=5)
    note = (
        f"{seeds} training seeds (hollow points), runs of one seed as pairs; bars are 95 % intervals. (b) Differences in points: "
        "filled, of the solve rate; hollow, of the score after the last step. Colours are outcomes after Holm's adjustment over the "
        "experiment; grey bands are margins within which two methods count as equal."
    )
    if left_out:
        note += f" {left_out} declared contrasts are of methods that this study does not train."
    table = pd.concat(
        [methods, contrasts.rename(columns={"contrast": "name", "effect": "value"}).assign(part="contrast")]
    )
    return style.Drawn(fig, table.reindex(columns=COLUMNS), note)


def _speeds(store: Store) -> pd.DataFrame:
    """In percent: a line for each method and seed, and one for the mean over seeds with its interval."""
    found = []
    for method in _compared(store):
        values = speed.speed(store, method)
        mean, title = statistics.run_difference(values), store.study.methods[method].title
        found += [
            {"part": "method", "name": title, "seed": seed, "value": 100 * value}
            for seed, value in zip(store.study.training.seeds, values, strict=True)
        ]
        ends = {"value": 100 * mean.mean, "low": 100 * mean.low, "high": 100 * mean.high}
        found.append({"part": "method", "name": title, "seed": "mean"} | ends)
    return pd.DataFrame(found, columns=["part", "name", "seed", "value", "low", "high"])


def _compared(store: Store) -> list[str]:
    """The methods of the contrasts whose speed is compared, in the order of the study."""
    contrasts = [each for experiment in store.study.experiments.values() for each in experiment.contrasts]
    named = {name for each in contrasts if each.kind == "speed" for name in (each.method, *each.against)}
    return [name for name in store.study.methods if name in named]


def _draw_methods(axis: Axes, table: pd.DataFrame) -> None:
    means = table[table["seed"] == "mean"].sort_values("value", ascending=False)
    places = {name: place for place, name in enumerate(means["name"])}
    seeds = table[table["seed"] != "mean"]
    axis.plot(
        seeds["value"], seeds["name"].map(places), "o", color=style.PAPER, markerfacecolor="none", markersize=style.DOT
    )
    reach = np.nan_to_num([means["value"] - means["low"], means["high"] - means["value"]])
    axis.errorbar(means["value"], range(len(means)), xerr=reach, fmt="o", color="black", elinewidth=style.BAR)
    axis.set_yticks(range(len(means)), [textwrap.fill(name, 34) for name in means["name"]])
    axis.set(xlabel="right responses among all sampled (%)", ylim=(len(means) - 0.5, -0.5))
    axis.grid(visible=False, axis="y")


def _draw_contrasts(axis: Axes, table: pd.DataFrame) -> None:
    labels = []
    for place, line in enumerate(table.to_dict("records")):
        if not math.isnan(line["margin"]):
            axis.fill_betweenx(
                [place - 0.4, place + 0.4], -line["margin"], line["margin"], color="#e6e6e6", linewidth=0
            )
        colour, marker = COLOURS[line["outcome"]], MARKERS[line["outcome"]]
        reach = np.nan_to_num([[line["effect"] - line["low"]], [line["high"] - line["effect"]]])
        face = colour if _of_speed(line) else "white"
        axis.errorbar(
            line["effect"],
            place,
            xerr=reach,
            fmt=marker,
            color=colour,
            markerfacecolor=face,
            elinewidth=style.BAR,
        )
        labels.append(line["contrast"].partition(":")[0])
    axis.axvline(0, color=style.INK, linewidth=style.BAR, zorder=0)
    axis.set_yticks(range(len(table)), labels)
    axis.set(xlabel="difference (points)", ylim=(len(table) - 0.5, -0.5))
    axis.grid(visible=False, axis="y")


def _of_speed(line: dict) -> bool:
    return "solve rate" in line["contrast"]


def _key(table: pd.DataFrame) -> tuple[list, list[str]]:
    """The handles and labels of the outcomes that occur, and of the two measures."""
    axis = style.Figure().subplots()
    found = [outcome for outcome in COLOURS if outcome in set(table["outcome"])]
    handles = [axis.plot([], [], MARKERS[name], color=COLOURS[name])[0] for name in found]
    measures = {"solve rate while training": style.INK, "score after the last step": "white"}
    handles += [axis.plot([], [], "o", color=style.INK, markerfacecolor=face)[0] for face in measures.values()]
    return handles, [*found, *measures]
