"""The search for a data recipe: how fast it finds, and what it found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import searches, style
from tokencredit.analysis.store import Store
from tokencredit.config.data_recipe_keys import FULL
from tokencredit.statistics import mean_interval
from tokencredit.study import data_recipes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499")
REFERENCE = "#7f7f7f"


def draw(store: Store) -> style.Drawn:
    """(a) Best validation score so far. (b) Share of search seeds whose winner holds an operator. (c) Share of each source that is kept."""
    titles, lines = data_recipes.titles(store.study), searches.scored(store)
    names = store.study.data_recipe.searches
    looks = {
        name: style.Line(COLOURS[place], (style.SOLID, *style.DASHES)[place], "os^D"[place], titles[name])
        for place, name in enumerate(names)
    }
    fig, axes = style.figure(1, 3, width=9.5, height=3.2)
    references = [FULL, *store.study.data_recipe.recipes]
    tables = [
        _progress(axes[0, 0], store, looks, {name: lines[name] for name in references}),
        _operators(axes[0, 1], looks, lines),
        _sources(axes[0, 2], looks, lines),
    ]
    for place, title in enumerate(("Best score so far", "Operators of the winners", "What the winners keep")):
        style.letter(axes[0, place], place, title)
    style.legend_below(fig, axes[0, 0], columns=4)
    recipe = store.study.data_recipe
    note = (
        f"{len(recipe.seeds)} search seeds (thin lines: single ones), {store.study.validation.problems} validation problems with "
        f"{store.study.validation.samples} responses each. Shades in (a) are 95 % intervals over these questions of the mean over seeds; "
        f"they hold neither the spread over seeds nor that the best of several was taken. Grey: recipes that were not searched for."
    )
    return style.Drawn(fig, pd.concat(tables, ignore_index=True), note)


def _progress(
    axis: Axes, store: Store, looks: dict[str, style.Line], references: dict[str, searches.Scored]
) -> pd.DataFrame:
    history, samples, found = searches.history(store), store.study.validation.samples, []
    validation = store.study.data_recipe.validation.benchmark
    for name, look in looks.items():
        own = history[history["line"] == name]
        best = [_best_so_far(table, samples) for _, table in own.groupby("seed")]  # [T, Q] of each seed
        mean = np.mean(best, axis=0)
        low, high = np.array([mean_interval(scores) for scores in mean]).T
        x = np.arange(1, len(mean) + 1)
        style.curve(axis, x, 100 * mean.mean(1), look, (100 * low, 100 * high))
        for seed, scores in zip(sorted(own["seed"].unique()), best, strict=True):
            axis.plot(x, 100 * scores.mean(1), color=look.colour, linewidth=style.HAIR, alpha=0.6)
            found += [
                {"part": "best so far", "line": name, "seed": seed, "name": f"{t}", "value": 100 * value}
                for t, value in zip(x, scores.mean(1), strict=True)
            ]
        ends = zip(x, mean.mean(1), low, high, strict=True)
        found += [
            {
                "part": "best so far",
                "line": name,
                "seed": "mean",
                "name": f"{t}",
                "value": 100 * value,
                "low": 100 * below,
                "high": 100 * above,
            }
            for t, value, below, above in ends
        ]
    for place, own in enumerate(references.values()):
        value = 100 * float(own.shares[validation].mean())
        axis.axhline(value, color=REFERENCE, linestyle=style.DASHES[place % 4], linewidth=style.BAR, label=own.title)
        found.append({"part": "not searched for", "line": own.line, "seed": "mean", "name": "all", "value": value})
    axis.set(xlabel="recipes evaluated", ylabel="validation score (%)")
    return pd.DataFrame(found)


def _best_so_far(table: pd.DataFrame, samples: int) -> np.ndarray:
    """[T, Q]: the question scores of the best of the first recipes, share right."""
    scores = np.stack(table.sort_values("evaluation")["right"].to_numpy()) / samples
    return scores[table.sort_values("evaluation")["best"].to_numpy()]


def _operators(axis: Axes, looks: dict[str, style.Line], lines: dict[str, searches.Scored]) -> pd.DataFrame:
    held = {name: [set(searches.held(about)) for about in lines[name].about] for name in looks}
    operators = sorted({operator for winners in held.values() for winner in winners for operator in winner})
    found = [
        {
            "part": "operators",
            "line": name,
            "seed": "mean",
            "name": operator,
            "value": 100 * float(np.mean([operator in winner for winner in held[name]])),
        }
        for name in looks
        for operator in operators
    ]
    return _bars(axis, looks, found, operators, "winners that hold it (%)")


def _sources(axis: Axes, looks: dict[str, style.Line], lines: dict[str, searches.Scored]) -> pd.DataFrame:
    sources = searches.sources_of(lines)
    found = [
        {
            "part": "sources",
            "line": name,
            "seed": "mean",
            "name": source,
            "value": 100 * float(np.mean(lines[name].kept(f"source:{source}"))),
        }
        for name in looks
        for source in sources
    ]
    return _bars(axis, looks, found, sources, "rows of the source kept (%)")


def _bars(axis: Axes, looks: dict[str, style.Line], found: list[dict], names: list[str], unit: str) -> pd.DataFrame:
    table, height = pd.DataFrame(found), 0.8 / len(looks)
    for place, (line, look) in enumerate(looks.items()):
        own = table[table["line"] == line].set_index("name")["value"].reindex(names)
        axis.barh(np.arange(len(names)) + (place - (len(looks) - 1) / 2) * height, own, height, color=look.colour)
    axis.set_yticks(range(len(names)), names)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, 100), xlabel=unit)
    axis.grid(visible=False, axis="y")
    return table
