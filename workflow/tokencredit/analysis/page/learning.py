"""Training on the page: the solve rate of every run against its step, and what people noted of the study, at its step where it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.ticker import MaxNLocator

from tokencredit.analysis.figures.figure2 import smoothed
from tokencredit.analysis.page.so_far import RunLine, some_points
from tokencredit.analysis.page.toggles import Toggle
from tokencredit.analysis.store import Store
from tokencredit.config import Row, Study
from tokencredit.study.notes import Numbered, notes_of

APART = 8.0  # percent of a chart's width: marks that are nearer than that stand one above the other
Learned = Mapping[Row, Mapping[int, float]]  # of a run its solve rate, a share, by step


@dataclass(frozen=True)
class Curve:
    """A run, in the colour number ``line``, None where it has none; ``points`` of a line in a box of 100 by 100."""

    title: str
    method: str
    line: int | None
    points: str


@dataclass(frozen=True)
class Mark:
    """A note at its step: ``place`` from left to right in percent, ``row`` from above, and what it says."""

    number: int
    method: str
    place: float
    row: int
    detail: str


@dataclass(frozen=True)
class Learning:
    """``curves`` on axes of which ``steps`` and ``rates`` are places, in percent from left and from above, with labels."""

    curves: Sequence[Curve]
    steps: Sequence[tuple[float, str]]
    rates: Sequence[tuple[float, str]]
    marks: Sequence[Mark]
    notes: Sequence[Numbered]

    @property
    def rows(self) -> int:
        """The rows that marks take."""
        return max((mark.row + 1 for mark in self.marks), default=0)


def learning(store: Store, learned: Learned, toggles: Sequence[Toggle]) -> Learning:
    """The curves of all runs of ``learned`` and the notes of the study; a curve is a running mean over 5 steps."""
    study = store.study
    store.opened(store.paths.notes)
    notes = notes_of(store.paths)
    curves = {row: _smooth(rates) for row, rates in learned.items() if rates}
    highest = max((rate for rates in curves.values() for rate in rates.values()), default=1.0)
    rates = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(0, max(highest, 0.01)).tolist()
    steps = MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True).tick_values(0, study.training.steps).tolist()
    lines = {toggle.name: toggle.line for toggle in toggles}
    last, top = study.training.steps, rates[-1]
    return Learning(
        curves=[
            Curve(
                title=f"{row.title}, seed {row.seed}",
                method=row.name,
                line=lines[row.name],
                points=" ".join(
                    f"{100 * step / last:.4g},{100 - 100 * rate / top:.4g}" for step, rate in some_points(rates)
                ),
            )
            for row, rates in curves.items()
        ],
        steps=[(round(100 * step / last, 2), f"{step:g}") for step in steps if step <= last],
        rates=[(round(100 - 100 * rate / top, 2), f"{100 * rate:g}\u00a0%") for rate in rates],
        marks=_marks(study, notes),
        notes=notes,
    )


def of_store(store: Store) -> Learned:
    """What the runs of a finished study learned."""
    found = {}
    for name in store.study.methods:
        for seed, steps in store.metrics(name, ["solve_rate"]).dropna(subset="solve_rate").groupby("seed"):
            found[store.study.row(name, int(seed))] = dict(zip(steps["step"], steps["solve_rate"], strict=True))
    return found


def of_runs(study: Study, runs: Sequence[RunLine]) -> Learned:
    """What the runs of a study that runs have learned so far."""
    return {study.row_at(run.name): run.learned for run in runs}


def _smooth(rates: Mapping[int, float]) -> dict[int, float]:
    table = pd.DataFrame({"seed": 0, "step": list(rates), "rate": list(rates.values())})
    return dict(zip(rates, smoothed(table, "rate", 1)["value"], strict=True))


def _marks(study: Study, notes: Sequence[Numbered]) -> list[Mark]:
    """A mark for each note that names a step, in the highest row where it meets no other."""
    ends: list[float] = []  # of each row: where its last mark stands
    found = []
    for each in sorted((each for each in notes if each.note.step is not None), key=lambda each: each.note.step):
        place = round(100 * each.note.step / study.training.steps, 2)
        row = next((row for row, end in enumerate(ends) if place - end >= APART), len(ends))
        ends[row : row + 1] = [place]
        who = ", ".join(filter(None, [each.when, each.note.by, each.about(study)]))
        found.append(Mark(each.number, each.note.method or "", place, row, f"{who}: {each.note.text}"))
    return found
