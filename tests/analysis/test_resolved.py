"""Which differences of the comparison tables count: none between a method and itself, a large one that was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from statsmodels.stats.multitest import multipletests
from synthetic_study import make_study

from tokencredit.analysis import scores, tables
from tokencredit.analysis.store import Store

pytestmark = pytest.mark.slow  # tables over whole synthetic studies


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """DAPO solves as much as GRPO does, under other seeds; EAPO some 20 points more."""
    folder = tmp_path_factory.mktemp("resolved")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(synthetic_study.GAIN, "dapo", synthetic_study.GAIN["grpo"])
        patch.setitem(synthetic_study.GAIN, "eapo", synthetic_study.GAIN["grpo"] + 1.4)
        study = make_study(folder, ["grpo", "dapo", "eapo"], (0, 1, 2))
    return Store(study, folder / "results")


@pytest.fixture(scope="module")
def table(store: Store) -> pd.DataFrame:
    return scores.table1(store).set_index(["method", "benchmark"])


def test_each_column_of_the_table_is_one_family_of_tests(table: pd.DataFrame) -> None:
    for p in ("p", "runs_p"):
        for _, column in table[table[p].notna()].groupby("benchmark"):
            assert len(column) == 3  # the base model, DAPO and EAPO, each against GRPO
            assert column[f"{p}_holm"].tolist() == pytest.approx(multipletests(column[p], method="holm")[1])
            assert (column[f"{p}_holm"] > column[p]).any()


def test_the_same_method_twice_is_not_resolved(table: pd.DataFrame) -> None:
    for benchmark in ("toy-tier1", "toy-tier2", "toy-tier3", "mean"):
        record = table.loc[("dapo", benchmark)]
        assert record["outcome"] == "not resolved"
        assert record["runs_detectable"] > abs(record["difference"])
        assert record["runs_seeds_needed"] > 3


def test_a_planted_effect_is_resolved(table: pd.DataFrame) -> None:
    record = table.loc[("eapo", "mean")]
    assert record["difference"] == pytest.approx(20, abs=4)
    assert record["outcome"] == "resolved"
    assert 0 < record["runs_low"] < record["difference"] < record["runs_high"]


def test_what_is_not_resolved_says_what_it_takes(store: Store, table: pd.DataFrame) -> None:
    shown = tables.wide("table1", table.reset_index(), store)
    notes = [note for row in shown.rows for cell in row.cells for note in cell.notes if note.startswith("not resolved")]
    assert notes
    assert all("finds ±" in note and "takes " in note for note in notes)


def test_one_seed_resolves_checkpoints_only(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["grpo", "plr"], (0,))
    record = scores.table1(Store(study, tmp_path / "results")).set_index(["method", "benchmark"]).loc[("plr", "mean")]
    assert record["outcome"] == "resolved for these checkpoints"
    assert np.isnan(record["runs_seeds_needed"])
