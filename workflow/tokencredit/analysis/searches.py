"""The search for a data recipe in numbers: what winners and the recipes beside them score, and what selection promised."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tokencredit.analysis.layout import Cell, Wide, WideLine, number, signed
from tokencredit.analysis.store import SEARCH_COSTS, Store
from tokencredit.config.data_recipe_keys import FULL
from tokencredit.statistics import (
    Line,
    interval_of_mean,
    margin_of,
    mean_interval,
    question_se,
    sampling_se,
    seed_variance,
    two_level_difference,
)
from tokencredit.study import data_recipes

MEAN = "mean"  # of all tests, each with the same weight
ALL = "all"  # in place of a benchmark, where a number is of none
OPTIMISM = "selection-optimism"


@dataclass(frozen=True)
class Scored:
    """A line of the table: share right of every search seed and question, [S, Q], by benchmark; and what its recipes are."""

    line: str
    title: str
    seeds: list[int]
    shares: dict[str, np.ndarray]
    about: list[dict[str, Any]] = field(repr=False)

    def kept(self, name: str) -> list[float]:
        """An entry of the state vector, by seed."""
        return [about["state"][name] for about in self.about]


def scored(store: Store) -> dict[str, Scored]:
    """The lines of the table by name, in its order."""
    titles, found = data_recipes.titles(store.study), {}
    for line, title in titles.items():
        seeds = [each.seed for each in data_recipes.tuned(store.study) if each.line == line]
        tables = [store.tuned(line, seed) for seed in seeds]
        shares = {name: np.stack([_shares(table, name) for table, _ in tables]) for name in _benchmarks(store)}
        found[line] = Scored(line, title, seeds, shares, [about for _, about in tables])
    return found


def sources_of(lines: dict[str, Scored]) -> list[str]:
    """The sources of the pool."""
    state = next(iter(lines.values())).about[0]["state"]
    return [name.removeprefix("source:") for name in state if name.startswith("source:")]


def records(store: Store) -> pd.DataFrame:
    """One record per line and number: its value with, where it has one, its 95 % interval; scores and differences in percent and points.

    avg: mean over search seeds and questions, interval over questions, of each benchmark and the ``MEAN`` of the tests. difference: the
    mean of the tests against the whole pool, over questions and seeds. gap: validation less mean of the tests, over both sets of questions
    and seeds. rows; kept: percent of a source's rows; and of searches what all their evaluations took.
    """
    lines = scored(store)
    found = [record for own in lines.values() for record in _of_line(store, own, lines[FULL])]
    first = lines[store.study.data_recipe.searches[0]]
    found.append({"line": OPTIMISM, "title": "Selection optimism", "reference": first.line, **_gap(store, first)})
    names = ["line", "title", "metric", "benchmark", "reference", "seeds", "value", "low", "high", "p"]
    return pd.DataFrame(found, columns=names)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """One row per line, and one for the selection optimism."""
    study = store.study
    validation = study.data_recipe.validation.benchmark
    tests = study.benchmarks
    sources = list(dict.fromkeys(table[table["metric"] == "kept"]["benchmark"]))
    columns = [
        (f"Validation (n = {study.validation.problems})", f"Avg@{study.validation.samples}"),
        *((f"{own.title} (n = {own.problems})", f"Avg@{own.samples}") for own in tests.values()),
        ("Tests", "mean"),
        ("Validation", "less tests"),
        ("Rows", "kept"),
        *(("Kept of a source (%)", source) for source in sources),
    ]
    rows = []
    for _, own in table.groupby("line", sort=False):
        by = {(each.metric, each.benchmark): each for each in own.itertuples()}
        mean, difference = by.get(("avg", MEAN)), by.get(("difference", MEAN))
        rows.append(
            WideLine(
                own["title"].iloc[0],
                [
                    *(_cell(by.get(("avg", name))) for name in (validation, *tests)),
                    _cell(mean, notes=_against(difference)),
                    _cell(by.get(("gap", MEAN)), sign=True),
                    _cell(by.get(("rows", ALL)), digits=0),
                    *(_cell(by.get(("kept", source)), digits=0) for source in sources),
                ],
            )
        )
    return Wide(columns, rows, _notes(table, store))


def history(store: Store) -> pd.DataFrame:
    """One line per search, seed and evaluation: ``Store.search`` with the line, the seed, and the best evaluation so far."""
    parts = []
    for name, seed in data_recipes.searches(store.study):
        table = store.search(name, seed)
        best = [int(table["score"][: count + 1].idxmax()) for count in range(len(table))]
        parts.append(table.assign(line=name, seed=seed, best=best))
    return pd.concat(parts, ignore_index=True)


def held(about: dict[str, Any]) -> list[str]:
    """The operators of a recipe, as a person says them."""
    return [
        " ".join(str(step[key]) for key in ("operator", "keep", "source") if key in step) for step in about["recipe"]
    ]


def _benchmarks(store: Store) -> list[str]:
    return [store.study.data_recipe.validation.benchmark, *store.study.benchmarks]


def _shares(table: pd.DataFrame, benchmark: str) -> np.ndarray:
    own = table[table["benchmark"] == benchmark].sort_values("problem_id")
    return (own["right"] / own["n"]).to_numpy()


def _of_line(store: Store, own: Scored, full: Scored) -> Iterator[dict[str, Any]]:
    known = {"line": own.line, "title": own.title, "seeds": " ".join(map(str, own.seeds))}
    tests = list(store.study.benchmarks)
    for name, shares in own.shares.items():
        yield known | _avg(name, float(shares.mean()), mean_interval(shares.mean(0)))
    parts = [own.shares[name].mean(0) for name in tests]
    yield known | _avg(MEAN, float(np.mean([part.mean() for part in parts])), interval_of_mean(parts))
    if own.line != FULL:
        found = two_level_difference(_lines(store, own), _lines(store, full))
        ends = {"low": 100 * found.low, "high": 100 * found.high, "p": found.p}
        yield known | {"metric": "difference", "benchmark": MEAN, "reference": FULL, "value": 100 * found.mean, **ends}
    yield known | _gap(store, own)
    yield known | {"metric": "rows", "benchmark": ALL, "value": float(np.mean([about["rows"] for about in own.about]))}
    for source in sources_of({own.line: own}):
        yield known | {
            "metric": "kept",
            "benchmark": source,
            "value": 100 * float(np.mean(own.kept(f"source:{source}"))),
        }
    if own.line in store.study.data_recipe.searches:
        histories = [store.search(own.line, seed) for seed in own.seeds]
        for cost in SEARCH_COSTS:
            spent = float(np.mean([table[cost].sum() for table in histories]))
            yield known | {"metric": cost, "benchmark": ALL, "value": spent}


def _avg(benchmark: str, value: float, ends: tuple[float, float]) -> dict[str, Any]:
    low, high = (100 * end for end in ends)
    return {"metric": "avg", "benchmark": benchmark, "value": 100 * value, "low": low, "high": high}


def _lines(store: Store, own: Scored) -> list[Line]:
    return [Line(own.shares[name], benchmark.samples) for name, benchmark in store.study.benchmarks.items()]


def _gap(store: Store, own: Scored) -> dict[str, Any]:
    """Validation less the mean of the tests, points.

    The error has the questions of each benchmark, which are samples of their own, and the search seeds: the variance of the difference
    between them beyond sampling noise. With one seed its spread is not in the interval.
    """
    validation, tests = store.study.data_recipe.validation.benchmark, list(store.study.benchmarks)
    weights = {validation: 1.0, **dict.fromkeys(tests, -1 / len(tests))}
    samples = {validation: store.study.validation.samples}
    samples |= {name: benchmark.samples for name, benchmark in store.study.benchmarks.items()}
    by_seed = sum(weight * own.shares[name].mean(1) for name, weight in weights.items())
    parts = [
        (weight**2 * question_se(own.shares[name].mean(0)) ** 2, own.shares[name].shape[1] - 1)
        for name, weight in weights.items()
    ]
    if len(own.seeds) > 1:
        noise = [
            weight * sampling_se(np.full(own.shares[name][0].size, samples[name]), samples[name] * own.shares[name][0])
            for name, weight in weights.items()
            if samples[name] > 1
        ]
        spread = seed_variance(by_seed, math.sqrt(sum(part**2 for part in noise)))
        parts.append((spread / len(own.seeds), len(own.seeds) - 1))
    mean, margin = float(by_seed.mean()), margin_of(parts, 0.025)
    return {
        "metric": "gap",
        "benchmark": MEAN,
        "seeds": " ".join(map(str, own.seeds)),
        "value": 100 * mean,
        "low": 100 * (mean - margin),
        "high": 100 * (mean + margin),
    }


def _cell(record: Any, digits: int = 1, sign: bool = False, notes: tuple[str, ...] = ()) -> Cell:
    if record is None:
        return Cell("")
    shown = (lambda value: signed(value, 1)) if sign else (lambda value: number(value, digits))
    interval = "" if math.isnan(record.low) else f"[{shown(record.low)}, {shown(record.high)}]"
    return Cell(shown(record.value), interval, "", notes)


def _against(record: Any) -> tuple[str, ...]:
    if record is None:
        return ()
    return (f"{signed(record.value, 1)} [{signed(record.low, 1)}, {signed(record.high, 1)}]",)


def _notes(table: pd.DataFrame, store: Store) -> list[str]:
    recipe = store.study.data_recipe
    costs = table.pivot_table(index="line", columns="metric", values="value", aggfunc="first", sort=False)
    spent = []
    for name in recipe.searches:
        own = costs.loc[name]
        seconds = own["seconds_tuning"] + own["seconds_scoring"]
        spent.append(
            f"{name} {own['trained_tokens']:,.0f} tokens trained on and {own['sampled_tokens']:,.0f} sampled, {seconds:,.0f} s"
        )
    return [
        "Percent; in brackets 95 % intervals over questions. Below the mean of the tests: the difference to the whole pool, in points, "
        "over questions and search seeds.",
        f"A winner is the best of {recipe.evaluations} evaluated recipes by its validation score; each test was read once for each line "
        f"and seed, after all searches. Search seeds {', '.join(map(str, recipe.seeds))}; an operator alone has the first of them only.",
        f"Every recipe is trained on with {recipe.tuning.steps} updates of {recipe.tuning.batch} rows, whatever their number. A search "
        f"took, as a mean over its seeds: {'; '.join(spent)}.",
    ]
