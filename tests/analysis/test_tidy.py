"""``tokencredit.load``: stored results as tidy tables, and the notebook that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

import tokencredit
from tokencredit.analysis.store import Store
from tokencredit.errors import UserError
from tokencredit.tools import bundle

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs/examples/stored_results.ipynb"


def test_the_tables_are_what_is_stored(store: Store) -> None:
    found = tokencredit.load("synthetic", store.results.parent / "config", store.results)
    study = store.study
    key = ["method", "seed", "title"]
    for table in (found.runs, found.curves, found.tokens, found.scores):
        assert table.columns[:3].tolist() == key
    runs = len(study.methods) * len(study.training.seeds)
    assert len(found.runs) == runs * study.training.steps
    assert not found.runs.duplicated(["method", "seed", "step"]).any()
    assert len(found.scores) == len(study.rows) * sum(each.problems for each in study.benchmarks.values())
    row = study.row("eapo", 1)
    of_row = found.scores[(found.scores["method"] == "eapo") & (found.scores["seed"] == 1)]
    pd.testing.assert_frame_equal(
        of_row.drop(columns=key).reset_index(drop=True), store.scores(row).reset_index(drop=True)
    )
    assert found.states.empty


def test_what_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="no such study"):
        tokencredit.load("synthetik", store.results.parent / "config")
    with pytest.raises(UserError, match=str(tmp_path)):
        _ = tokencredit.load("synthetic", store.results.parent / "config", tmp_path).scores


@pytest.mark.slow
def test_the_notebook_runs_on_the_records_that_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.unpack(ROOT / "docs/results/toy-ablation.tar.gz", ROOT / "config", tmp_path / "results")
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    by_seed = names["by_seed"]
    assert by_seed.shape[1] >= 5
    assert by_seed.loc["EAPO"].between(40, 80).all()
    drawn = names["runs"].groupby(["title", "seed"]).ngroups + names["runs"]["title"].nunique()
    assert len(names["figure"].axes[0].lines) == drawn
