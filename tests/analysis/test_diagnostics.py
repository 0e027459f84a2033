"""Diagnostics of token weights over training: means and spreads by hand, undefined ones, marks, and runs that lack them."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_study import STEPS, make_study

from tokencredit import files
from tokencredit.analysis import style, tables
from tokencredit.analysis.credit import diagnostics
from tokencredit.analysis.figures import diagnostics as figure
from tokencredit.analysis.store import Store
from tokencredit.credit import QUADRANTS
from tokencredit.errors import UserError

pytestmark = pytest.mark.slow  # tables over whole synthetic studies


@pytest.fixture(scope="module")
def table(store: Store) -> pd.DataFrame:
    return diagnostics.records(store)


def test_every_method_has_every_diagnostic(store: Store, table: pd.DataFrame) -> None:
    assert len(table) == len(store.study.methods) * len(diagnostics.DIAGNOSTICS)
    defined = table[table["steps"] > 0]
    assert (defined["steps"] == 2 * STEPS).all()
    assert ((defined["low"] <= defined["value"]) & (defined["value"] <= defined["high"])).all()


def test_a_value_is_the_mean_over_steps_and_seeds(store: Store, table: pd.DataFrame) -> None:
    values = np.concatenate(
        [
            [
                line["kept"]
                for line in files.read_jsonl(store.paths.home.joinpath("runs", "phr", f"seed{seed}", "metrics.jsonl"))
            ]
            for seed in (0, 1)
        ]
    )
    record = table.set_index(["method", "diagnostic"]).loc[("phr", "kept")]
    assert record["value"] == pytest.approx(100 * values.mean())
    assert [record["low"], record["high"]] == pytest.approx(list(100 * np.quantile(values, [0.05, 0.95])))


def test_constant_weights_have_no_correlation_and_the_table_says_so(store: Store, table: pd.DataFrame) -> None:
    records = table.set_index(["method", "diagnostic"])
    assert np.isnan(records.loc[("grpo", "correlation_entropy"), "value"])
    assert records.loc[("grpo", "correlation_entropy"), "steps"] == 0
    wide = diagnostics.wide(table, store)
    cells = next(row.cells for row in wide.rows if row.title == "GRPO")
    assert [cell.value for cell in cells[:7]] == ["0.00", "1.00", "0.0", "100.0", "–", "–", "–"]
    assert any("constant weights" in note for note in wide.notes)


def test_reconstructions_and_invalid_runs_are_marked(store: Store, table: pd.DataFrame) -> None:
    titles = diagnostics.titles(table)
    assert titles["hapo"].endswith("†")
    assert titles["nlr"].endswith("✗")
    assert not titles["eapo"].endswith(("†", "✗"))
    assert {note[0] for note in diagnostics.notes(table)} >= {"†", "✗"}


def test_a_step_that_learned_nothing_counts_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step without a group to learn from has a line without these numbers."""
    store = Store(make_study(tmp_path, ["grpo", "eapo"], (0,)), tmp_path / "results")
    expected = diagnostics.records(store)
    read, empty = Store.metrics, pd.DataFrame([{"step": STEPS + 1, "solve_rate": 1.0, "seed": 0}])
    monkeypatch.setattr(Store, "metrics", lambda *asked: pd.concat([read(*asked), empty], ignore_index=True))
    pd.testing.assert_frame_equal(diagnostics.records(store), expected)


def test_a_run_from_before_the_diagnostics_is_named(tmp_path: Path) -> None:
    store = Store(make_study(tmp_path, ["grpo"], (0, 1)), tmp_path / "results")
    path = store.paths.home.joinpath("runs", "grpo", "seed1", "metrics.jsonl")
    path.write_text("".join(json.dumps({"step": step, "tokens": 10}) + "\n" for step in range(1, 4)))
    with pytest.raises(UserError, match=r"seed1/metrics.jsonl: no step holds weight_gini, .* Train it again"):
        diagnostics.records(store)


def test_the_figure_has_one_line_per_method_in_every_panel(store: Store, table: pd.DataFrame) -> None:
    drawn = figure.draw(store)
    points, bars = drawn.figure.axes[:-1], drawn.figure.axes[-1]
    methods = len(store.study.methods)
    for axis in points:
        dots = [line for line in axis.lines if line.get_marker() not in ("None", None, "")]
        assert len(dots) + len(axis.texts) == methods
    assert len(bars.patches) == methods * len(QUADRANTS)
    labels = [label.get_text() for label in points[0].get_yticklabels()]
    shown = diagnostics.titles(table)
    assert labels == [shown[name] for name in style.lines(store.study) if name in shown]
    pd.testing.assert_frame_equal(drawn.table, table)


@pytest.mark.parametrize(("count", "rows"), [(16, 2), (40, 1)])
def test_many_methods_stand_in_one_row_of_panels(
    store: Store, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, count: int, rows: int
) -> None:
    names = [f"method-{index}" for index in range(count)]
    one = table[table["method"] == "eapo"]
    many = pd.concat([one.assign(method=name, title=name) for name in names], ignore_index=True)
    line = style.lines(store.study)["eapo"]
    monkeypatch.setattr(figure, "records", lambda _: many)
    monkeypatch.setattr(store.study, "methods", dict.fromkeys(names))
    monkeypatch.setattr(style, "lines", lambda _: dict.fromkeys(names, line))
    drawn = figure.draw(store)
    assert drawn.figure.axes[0].get_gridspec().nrows == rows
    drawn.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in drawn.figure.axes[0].get_yticklabels()]
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))


def test_latex_of_the_table_is_regular(store: Store, tmp_path: Path) -> None:
    tables.make(store, "diagnostics", tmp_path)
    text = (tmp_path / "diagnostics.tex").read_text()
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {len(diagnostics.DIAGNOSTICS)}
    assert not set("−–π†✗|") & set(text)
    again = tables.read(tmp_path / "diagnostics.csv")
    assert [row.title for row in tables.wide("diagnostics", again, store).rows] == [
        row.title for row in diagnostics.wide(diagnostics.records(store), store).rows
    ]
