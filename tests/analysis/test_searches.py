"""The table and the figure of a search for a data recipe, from records that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.config.conftest import STUDY, Spoil, spoil
from tests.study.test_data_recipes import BENCHMARK, VALIDATION, changed
from tokencredit import files
from tokencredit.analysis import searches
from tokencredit.analysis.figures import search as figure
from tokencredit.analysis.layout import latex
from tokencredit.analysis.store import Store, UndeclaredError
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study import data_recipes

__all__ = ["spoil"]
STATE = {"retained": 0.5, "source:right": 1.0, "source:wrong-answer": 0.25}
STEPS = [{"operator": "ifd", "keep": "low", "fraction": 0.5}, {"operator": "drop-source", "source": "other-task"}]


@pytest.fixture
def store(spoil: Spoil, tmp_path: Path) -> Store:
    """Scores of 4 validation and 20 test problems, drawn; two evaluations of each search."""
    changes = changed("validation.problems", 4, "evaluations", 2, "probes", 1)
    study = load_study(spoil(*VALIDATION, *BENCHMARK, STUDY, "data_recipe", changes), "one")
    found, rng = Store(study, tmp_path / "results"), np.random.default_rng(0)
    for name, seed in data_recipes.searches(study):
        right = [[1, 2, 0, 4], [4, 4, 0, 4]] if name == "gp" else [[4, 4, 4, 4], [0, 0, 0, 0]]
        table = pd.DataFrame(
            {
                "evaluation": [0, 1],
                "kind": ["probe", "edit"],
                "recipe": [json.dumps(STEPS)] * 2,
                "state": [json.dumps(STATE)] * 2,
                "rows": [10, 12],
                "score": [sum(own) / 16 for own in right],
                "right": right,
                "trained_tokens": [100, 200],
                "sampled_tokens": [10, 20],
                "seconds_tuning": [1.0, 2.0],
                "seconds_scoring": [0.5, 0.5],
            }
        )
        files.write_parquet(found.paths.search(name, seed).history, table)
    for each in data_recipes.tuned(study):
        parts = [
            pd.DataFrame({"benchmark": name, "problem_id": [f"p{k:02}" for k in range(count)], "n": 4})
            for name, count in (("held-out", 4), ("easy", 20))
        ]
        table = pd.concat(parts, ignore_index=True)
        table["right"] = rng.integers(0, 5, len(table))
        table = table.assign(wrong=4 - table["right"], ungraded=0)
        about = {"rows": 10 + each.seed, "state": STATE, "recipe": STEPS}
        files.write_parquet(found.paths.tuned(each.line, each.seed).scores, table, about)
    return found


def shares(store: Store, line: str, benchmark: str, seeds: tuple[int, ...] = (0, 1)) -> np.ndarray:
    tables = [files.read_parquet(store.paths.tuned(line, seed).scores) for seed in seeds]
    return np.stack([table[table["benchmark"] == benchmark]["right"].to_numpy() / 4 for table in tables])


def test_the_table_by_hand(store: Store) -> None:
    table = searches.records(store.of("table", "search"))
    value = table.set_index(["line", "metric", "benchmark"])["value"]
    for line in ("gp", "random", "full", "known", "random-rows"):
        validation, test = (100 * shares(store, line, name).mean() for name in ("held-out", "easy"))
        assert value[line, "avg", "held-out"] == pytest.approx(validation)
        assert value[line, "avg", "mean"] == value[line, "avg", "easy"] == pytest.approx(test)
        assert value[line, "gap", "mean"] == pytest.approx(validation - test)
        assert value[line, "rows", "all"] == 10.5
        assert value[line, "kept", "wrong-answer"] == 25
    full = 100 * shares(store, "full", "easy").mean()
    assert value["gp", "difference", "mean"] == pytest.approx(value["gp", "avg", "mean"] - full)
    assert ("full", "difference", "mean") not in value
    assert value["gp", "trained_tokens", "all"] == 300
    assert value["alone-ifd-low", "avg", "easy"] == pytest.approx(
        100 * shares(store, "alone-ifd-low", "easy", (0,)).mean()
    )
    optimism = table[table["line"] == "selection-optimism"]
    assert optimism[["metric", "value"]].to_numpy().tolist() == [["gap", value["gp", "gap", "mean"]]]
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"]) | table["low"].isna()).all()


def test_the_interval_of_a_gap_by_hand(store: Store) -> None:
    """With one seed: t intervals of two independent means, their margins added in squares."""
    from scipy import stats

    own = searches.scored(store)["alone-random"]
    found = searches._gap(store, own)
    margins = []
    for name in ("held-out", "easy"):
        scores = own.shares[name][0]
        margins.append(stats.t.ppf(0.975, scores.size - 1) * scores.std(ddof=1) / np.sqrt(scores.size))
    assert found["high"] - found["value"] == pytest.approx(100 * np.hypot(*margins))


def test_the_shown_table_has_a_row_for_each_line_and_one_for_the_optimism(store: Store) -> None:
    table = searches.records(store)
    wide = searches.wide(table, store)
    titles = list(data_recipes.titles(store.study).values())
    assert [row.title for row in wide.rows] == [*titles, "Selection optimism"]
    assert all(len(row.cells) == len(wide.columns) for row in wide.rows)
    assert "300 tokens trained on and 30 sampled, 4 s" in " ".join(wide.notes)
    assert r"\begin{tabular}" in latex(wide)
    filled = [cell.value for cell in wide.rows[-1][1] if cell.value]
    assert len(filled) == 1
    assert filled[0][0] in "+−"


def test_the_figure_shows_the_best_so_far(store: Store) -> None:
    drawn = figure.draw(store.of("figure", "search"))
    best = drawn.table[drawn.table["part"] == "best so far"]
    value = best.set_index(["line", "seed", "name"])["value"]
    assert value["gp", "mean", "1"] == pytest.approx(100 * 7 / 16)
    assert value["gp", "mean", "2"] == value["gp", 0, "2"] == 75
    assert value["random", "mean", "1"] == value["random", "mean", "2"] == 100
    held = drawn.table[drawn.table["part"] == "operators"]
    assert set(held["name"]) == {"ifd low", "drop-source other-task"}
    assert set(held["value"]) == {100}
    kept = drawn.table[(drawn.table["part"] == "sources") & (drawn.table["line"] == "gp")]
    assert dict(zip(kept["name"], kept["value"], strict=True)) == {"right": 100, "wrong-answer": 25}


def test_records_that_are_not_whole_are_named(store: Store) -> None:
    path = store.paths.tuned("full", 0).scores
    table, about = files.read_parquet(path), files.parquet_metadata(path)
    files.write_parquet(path, table.head(-1), about)
    with pytest.raises(UserError, match="easy: 19 questions with"):
        store.tuned("full", 0)
    files.write_parquet(path, pd.concat([table, table.tail(1)]), about)
    with pytest.raises(UserError, match="25 lines"):
        store.tuned("full", 0)
    history = store.paths.search("gp", 0).history
    files.write_parquet(history, files.read_parquet(history).head(1))
    with pytest.raises(UserError, match="1 evaluations; the study asks for 2"):
        store.search("gp", 0)
    with pytest.raises(UndeclaredError):
        store.of("table", "table1").search("gp", 0)
