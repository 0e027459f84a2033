"""Curves of runs and notes on the page: what a curve and a mark stand for, and where they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tokencredit.analysis.figures.figure2 import smoothed
from tokencredit.analysis.page import learning, toggles
from tokencredit.analysis.page.so_far import POINTS
from tokencredit.analysis.store import Store
from tokencredit.study.notes import Note, append


def of(store: Store) -> learning.Learning:
    return learning.learning(store, learning.of_store(store), toggles.toggles(store.study, store.study))


def test_a_curve_is_the_running_mean_of_a_run(store: Store) -> None:
    found = of(store)
    study = store.study
    assert len(found.curves) == len(study.methods) * len(study.training.seeds)
    curve = next(curve for curve in found.curves if curve.title == "EAPO, seed 1")
    assert (curve.method, curve.line) == (
        "eapo",
        [each.name for each in toggles.toggles(study, study)].index("eapo") + 1,
    )
    table = smoothed(store.metrics("eapo", ["solve_rate"]), "solve_rate", 1)
    rates = table[table["seed"] == 1]["value"]
    top = float(found.rates[-1][1].removesuffix("\u00a0%")) / 100
    places = [tuple(map(float, point.split(","))) for point in curve.points.split()]
    assert [left for left, _ in places] == pytest.approx([100 * step / 30 for step in range(1, 31)], abs=0.01)
    assert [1 - down / 100 for _, down in places] == pytest.approx((rates / top).tolist(), abs=1e-3)


def test_a_long_run_is_drawn_with_fewer_points_and_to_its_end(store: Store) -> None:
    row = store.study.row("eapo", 0)
    rates = {step: 0.5 for step in range(1, 1234)}
    found = learning.learning(store, {row: rates}, toggles.toggles(store.study, store.study))
    places = [float(point.split(",")[0]) for point in found.curves[0].points.split()]
    assert POINTS / 2 < len(places) <= POINTS
    assert places[-1] == pytest.approx(100 * 1233 / 30, abs=1)


def test_a_run_without_a_step_has_no_curve_and_a_study_without_runs_has_axes(store: Store) -> None:
    found = learning.learning(store, {store.study.row("eapo", 0): {}}, toggles.toggles(store.study, store.study))
    assert found.curves == []
    assert (found.rates[0], found.rates[-1]) == ((100, "0\u00a0%"), (0, "100\u00a0%"))


def test_marks_keep_their_distance_and_the_numbers_of_the_file(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.paths.own, tmp_path / "synthetic")
    own = Store(store.study, tmp_path)
    for step in (30, 13, 1):
        append(own.paths, Note(at="2026-12-01T10:00:00Z", by="Another", text=f"at {step}", step=step))
    append(own.paths, Note(at="2026-12-01T10:00:00Z", by="Another", text="not of this study", method="rrpo", step=1))
    found = of(own)
    placed = [(mark.number, mark.place, mark.row) for mark in found.marks]
    assert placed == [(6, 3.33, 0), (1, 40.0, 0), (2, 40.0, 1), (5, 43.33, 2), (4, 100.0, 0)]
    assert found.rows == 3
    assert [note.number for note in found.notes] == [1, 2, 3, 4, 5, 6]
    assert found.marks[3].detail == "2026-12-01 10:00 UTC, Another, step 13: at 13"
    assert [(each.about(own.study), each.note.method) for each in found.notes[1:3]] == [
        ("EAPO, seed 1, step 12", "eapo"),
        ("GRPO", "grpo"),
    ]
