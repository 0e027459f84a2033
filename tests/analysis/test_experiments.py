"""A study's own experiments: each expectation comes out either way, as it was planted, and the declaration is named by its digest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from claimed import SEEDS, plant, score, store_of
from statsmodels.stats.multitest import multipletests
from synthetic_study import STEPS

from tokencredit.analysis import tables
from tokencredit.analysis.figures import experiments as figure
from tokencredit.analysis.layout import latex
from tokencredit.analysis.paper.obtained import ONE_SEED
from tokencredit.analysis.store import Store
from tokencredit.analysis.tables import experiments
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import inputs, planned

pytestmark = pytest.mark.slow  # tables over whole synthetic studies
METHODS = ["grpo", "dapo", "eapo", "hapo"]
SPEED = {"kind": "speed", "measure": "speed", "method": "eapo", "against": ["grpo"], "direction": "higher"}


def equal(method: str, *against: str, margin: float = 8.0) -> dict[str, Any]:
    return score(method, *against, direction="equal") | {"margin": margin}


def declared(folder: Path, *contrasts: dict[str, Any], seeds: tuple[int, ...] = SEEDS, **keys: Any) -> Store:
    store_of(folder, METHODS, seeds, {})
    return again(folder, *contrasts, **keys)


def again(folder: Path, *contrasts: dict[str, Any], **keys: Any) -> Store:
    path = folder / "config" / "studies" / "synthetic.yaml"
    study = yaml.safe_load(path.read_text())
    study["experiments"] = {"e1": {"question": "Is it so?", "contrasts": list(contrasts)} | keys}
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return Store(load_study(folder / "config", "synthetic"), folder / "results")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """EAPO far above GRPO, HAPO equal to EAPO."""
    plant(monkeypatch, {"grpo": 0.5, "dapo": 0.5, "eapo": 2.5, "hapo": 2.5}, {})
    return tmp_path


def test_expectations_come_out_as_planted(planted: Path) -> None:
    contrasts = [
        score("eapo", "grpo", "dapo"),
        score("eapo", "grpo", direction="lower"),
        equal("eapo", "hapo"),
        equal("eapo", "grpo"),
        equal("eapo", "hapo", margin=0.1),
        score("eapo", "hapo"),
    ]
    table = experiments.records(declared(planted, *contrasts))
    outcomes = ["supported", "supported", "contradicted", "supported", "contradicted", "not resolved", "not resolved"]
    assert table["outcome"].tolist() == outcomes
    assert table["margin"].fillna(0).tolist() == [0, 0, 0, 8, 8, 0.1, 0]
    assert table["contrast"][3] == "EAPO within 8 points of HAPO (reconstruction): mean Avg@n"
    assert table["p_holm"].tolist() == pytest.approx(multipletests(table["p"], method="holm")[1])


def test_how_fast_a_method_learns_may_be_expected_too(planted: Path) -> None:
    table = experiments.records(declared(planted, SPEED, SPEED | {"direction": "equal", "margin": 99}))
    assert table["contrast"].tolist() == [
        f"EAPO above GRPO: solve rate of steps 2 to {STEPS // 2}",
        f"EAPO within 99 points of GRPO: solve rate of steps 2 to {STEPS // 2}",
    ]
    assert table["outcome"][1] == "supported"
    assert (table["low"] < table["effect"]).all()


def test_one_seed_decides_nothing(planted: Path) -> None:
    table = experiments.records(declared(planted, score("eapo", "grpo"), equal("eapo", "hapo"), seeds=(0,)))
    assert set(table["outcome"]) == {"not resolved"}
    assert set(table["reason"]) == {ONE_SEED}


def test_the_digest_is_of_what_decides(planted: Path) -> None:
    def digest(store: Store) -> str:
        (found,) = set(experiments.records(store)["declaration"])
        return found

    first = digest(declared(planted, equal("eapo", "hapo")))
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert digest(again(planted, equal("eapo", "hapo"))) == first
    assert digest(again(planted, equal("eapo", "hapo", margin=9.0))) != first
    path = planted / "config" / "studies" / "synthetic.yaml"
    again(planted, equal("eapo", "hapo"))
    for old, new, moves in [("runtime: ", "runtime: 1", False), ("learning_rate: ", "learning_rate: 1", True)]:
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))
        assert (digest(Store(load_study(planted / "config", "synthetic"), planted / "results")) != first) is moves
        path.write_text(content)


def test_the_table_is_made_read_and_shown(planted: Path) -> None:
    store = declared(planted, score("eapo", "grpo"), equal("eapo", "hapo"))
    assert "experiments" in planned(store.study)["tables"]
    assert "synthetic/eval/hapo/seed2/scores.parquet" in inputs(store.study, "table", "experiments")
    tables.make(store, "experiments", planted)
    table = tables.read(planted / "experiments.csv")
    pd.testing.assert_series_equal(
        table["outcome"], pd.Series(["supported", "supported"], name="outcome"), check_dtype=False
    )
    shown = tables.wide("experiments", table, store)
    assert shown.rows[0][0] == "E1. Is it so?"
    assert [cell.value for cell in shown.rows[0][1]] == ["2 supported", "", ""]
    assert "within 8 points" in latex(shown)


def test_the_figure_shows_each_seed_and_each_contrast(planted: Path) -> None:
    store = declared(planted, score("eapo", "grpo"), SPEED, SPEED | {"direction": "equal", "margin": 99})
    drawn = figure.draw(store.of("figure", "experiments"))
    methods, contrasts = (drawn.table[drawn.table["part"] == part] for part in ("method", "contrast"))
    assert methods.groupby("name").size().to_dict() == {"GRPO": len(SEEDS) + 1, "EAPO": len(SEEDS) + 1}
    means = methods[methods["seed"] == "mean"].set_index("name")["value"]
    assert contrasts["value"].tolist()[1:] == pytest.approx([means["EAPO"] - means["GRPO"]] * 2)
    assert [text.get_text() for text in drawn.figure.axes[1].get_yticklabels()][2] == "EAPO within 99 points of GRPO"
    assert f"{len(SEEDS)} training seeds" in drawn.note


@pytest.mark.parametrize(
    ("contrast", "sentence"),
    [
        (score("eapo", "plr"), r"experiments\.e1\.contrasts\.0\.against = 'plr': not known; allowed: base, grpo, dapo, hapo"),
        (score("eapo", "eapo"), r"against = 'eapo': not known"),
        (score("epao", "grpo"), r"experiments\.e1\.contrasts\.0\.method = 'epao': not known; allowed: .*did you mean 'eapo'"),
        (SPEED | {"against": ["base"]}, r"against = 'base': not known"),
        (score("eapo", "grpo", direction="equal"), r"direction = 'equal' needs margin, the points within which"),
        (score("eapo", "grpo") | {"margin": 2}, r"direction = 'higher' has no margin"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(tmp_path: Path, contrast: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        declared(tmp_path, contrast)
