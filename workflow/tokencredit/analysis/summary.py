"""The closing table of a study, and whether an embedded study meets its aims."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tokencredit.analysis import layout
from tokencredit.analysis import scores as results
from tokencredit.analysis.store import Store
from tokencredit.config import EmbeddedModel, GeneratedDataset
from tokencredit.study.exhibits import planned
from tokencredit.study.paths import FIGURE_FILES, TABLE_FILES
from tokencredit.study.selection import base_row

# What the embedded study is built to show, in percent: the base solves some of each tier and none fully.
BASE_SOLVES = {1: (30, 60), 2: (15, 45), 3: (3, 25)}
GAIN_ON_TIER_2 = 15
ABOVE_MEAN = (15, 35)


@dataclass(frozen=True)
class Line:
    """A row of the closing table, as text: Avg@n per benchmark, share of tokens above the group mean, entropy first and last (nats)."""

    title: str
    scores: list[str]
    above_mean: str
    entropy: str


def closing_lines(store: Store) -> list[Line]:
    """The base model and the methods in the study's order; entropies are means over five steps and all seeds."""
    table = results.table1(store)
    lines = []
    for name, records in table.groupby("method", sort=False):
        first = records.iloc[0]
        mark = " (invalid)" if first["invalid"] else ""
        title = f"{first['title']}{mark}"
        scores = [_score(record) for record in records.to_dict("records")]
        if first["trained"]:
            start, end = first_and_last(store, name)
            lines.append(Line(title, scores, f"{100 * above_mean(store, name):.0f} %", f"{start:.3f} → {end:.3f}"))
        else:
            lines.append(Line(title, scores, "", ""))
    return lines


def _score(record: dict) -> str:
    text = f"{record['avg']:.1f} [{record['avg_low']:.0f}, {record['avg_high']:.0f}]"
    return text if pd.isna(record["over_base"]) else f"{text} {layout.signed(record['over_base'], 1)}"


def first_and_last(store: Store, method: str) -> tuple[float, float]:
    """Mean training entropy (nats) of the first and of the last five steps, over all seeds."""
    metrics = store.metrics(method)
    last = metrics["step"].max()
    return float(metrics.loc[metrics["step"] <= 5, "entropy"].mean()), float(
        metrics.loc[metrics["step"] > last - 5, "entropy"].mean()
    )


def above_mean(store: Store, method: str) -> float:
    """Share of training tokens above their group's mean entropy, over all steps and seeds."""
    return float(store.metrics(method)["above_mean"].mean())


@dataclass(frozen=True)
class Aim:
    """Something that an embedded study is built to show, and whether it does."""

    text: str
    measured: str
    met: bool


def aims(store: Store, scores: pd.DataFrame) -> list[Aim]:
    """The aims of an embedded study that this one can be judged by; empty for a study of released models. ``scores``: those of Table 1."""
    study = store.study
    base = base_row(study)
    if base is None or not isinstance(study.config.models[study.model_name], EmbeddedModel):
        return []
    table = scores.set_index(["method", "benchmark"])["avg"]
    found: list[Aim] = []
    gains: list[Aim] = []
    for name, benchmark in study.benchmarks.items():
        dataset = study.config.datasets[benchmark.dataset]
        if not isinstance(dataset, GeneratedDataset) or len(dataset.tiers) != 1:
            continue
        tier, score = dataset.tiers[0], table[base.name, name]
        low, high = BASE_SOLVES[tier]
        found.append(Aim(f"the base solves {low}-{high} % of tier {tier}", f"{score:.1f} %", low <= score <= high))
        if tier == 2:
            gain = table[study.reference, name] - score
            text = f"{study.methods[study.reference].title} gains at least {GAIN_ON_TIER_2} points on tier 2"
            gains.append(Aim(text, f"{gain:+.1f} points", gain >= GAIN_ON_TIER_2))
    found += gains
    share = 100 * above_mean(store, study.reference)
    low, high = ABOVE_MEAN
    found.append(
        Aim(f"{low}-{high} % of tokens lie above the group mean entropy", f"{share:.1f} %", low <= share <= high)
    )
    start, end = first_and_last(store, study.reference)
    found.append(
        Aim(f"entropy falls under {study.methods[study.reference].title}", f"{start:.3f} → {end:.3f} nats", end < start)
    )
    return found


def headings(store: Store) -> list[str]:
    averaged, beside = (
        [f"{benchmark.title}, Avg@{benchmark.samples}" for benchmark in side.values()]
        for side in (store.study.averaged, store.study.beside)
    )
    return ["", *averaged, "Mean", *(f"{column}, beside" for column in beside), "above mean", "entropy (nats)"]


def made(store: Store) -> list[str]:
    """What the analysis left for a person to open, one line per table or figure, where it exists."""
    plan = planned(store.study)
    found = [str(path) for path in [store.paths.page] if path.exists()]
    for kind, place, suffixes in (
        ("tables", store.paths.table, TABLE_FILES),
        ("figures", store.paths.figure, FIGURE_FILES),
    ):
        for name in plan[kind]:
            there = [suffix for suffix in suffixes if suffix != "json" and place(name, suffix).exists()]
            if there:
                found.append(f"{place(name).with_suffix('')}.{{{','.join(there)}}}")
    return found


def print_summary(store: Store) -> None:
    """The closing table on the terminal: scores with 95 % intervals and the change against the base, entropies, aims, files made."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if Console().is_terminal else 150)
    table = Table(
        title=Text(store.study.title),
        caption="percent [95 % interval over questions] change against the base in points",
    )
    for index, heading in enumerate(headings(store)):
        table.add_column(Text(heading), justify="left" if index == 0 else "right")
    for line in closing_lines(store):
        table.add_row(*(Text(cell) for cell in (line.title, *line.scores, line.above_mean, line.entropy)))
    console.print(table)
    for aim in aims(store, results.table1(store)):
        console.print(
            Text(
                f"{'met    ' if aim.met else 'NOT MET'}  {aim.text}: {aim.measured}",
                style="green" if aim.met else "red",
            )
        )
    for path in made(store):
        console.print(Text(f"made {path}"), soft_wrap=True)
