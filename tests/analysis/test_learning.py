"""Whether better placed weights end higher, asked of methods against their controls with planted agreement and planted scores."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import synthetic_study
from claimed import store_of

from tokencredit.analysis.credit import learning
from tokencredit.analysis.scores import table1
from tokencredit.analysis.store import Store

pytestmark = pytest.mark.slow  # tables over whole synthetic studies
METHODS = ["grpo", "forking", "forking-random-mask", "forking-shuffled", "eapo", "eapo-shuffled", "nhr-random-mask"]
GAINS = {"forking": 1.5, "forking-random-mask": 0.0, "forking-shuffled": 1.5, "eapo": 0.5, "eapo-shuffled": 2.0}
RHO = {"forking": 0.3, "eapo": 0.2}


def study_of(folder: Path, seeds: tuple[int, ...]) -> Store:
    with patch.object(synthetic_study, "gain", lambda method: GAINS.get(method, 0.1)):
        return store_of(folder, METHODS, seeds, {})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return study_of(tmp_path_factory.mktemp("controls"), (0, 2, 3))


def agreements() -> pd.DataFrame:
    return pd.DataFrame([{"method": name, "metric": "rho", "value": RHO.get(name, 0.0)} for name in METHODS])


def scores(store: Store, methods: pd.DataFrame) -> pd.DataFrame:
    found = learning.against_controls(store, methods)
    return found[found["metric"] == "score"].set_index("method")


def test_a_control_is_held_against_the_method_that_it_is_of(store: Store) -> None:
    of = {"forking-random-mask": "forking", "forking-shuffled": "forking", "eapo-shuffled": "eapo"}
    assert learning.controls(store.study) == of  # nhr itself is not in the study


def test_each_comes_out_as_it_was_planted(store: Store) -> None:
    found = scores(store, agreements())
    assert found["outcome"].to_dict() == {
        "forking-random-mask": "shown",
        "forking-shuffled": "not resolved",
        "eapo-shuffled": "contradicted",
    }
    printed = table1(store).query("benchmark == 'mean'").set_index("method")["avg"]
    for control, method in learning.controls(store.study).items():
        line = found.loc[control]
        assert line["value"] == pytest.approx(printed[method] - printed[control])
        assert line["low"] < line["value"] < line["high"]


def test_a_control_that_agrees_better_and_ends_higher_shows_the_same(store: Store) -> None:
    turned = agreements().assign(value=lambda table: -table["value"])
    assert scores(store, turned).loc[["forking-random-mask", "eapo-shuffled"], "outcome"].tolist() == [
        "contradicted",
        "shown",
    ]


def test_without_agreement_nothing_is_measured(store: Store) -> None:
    missing = agreements().replace({"value": {0.3: float("nan")}})
    found = scores(store, missing)
    assert found["outcome"].to_dict() == {
        "forking-random-mask": "not measured",
        "forking-shuffled": "not measured",
        "eapo-shuffled": "contradicted",
    }
    assert found.loc["eapo-shuffled", "p"] <= scores(store, agreements()).loc["eapo-shuffled", "p"]


def test_one_training_seed_resolves_nothing(tmp_path: Path) -> None:
    found = scores(study_of(tmp_path, (0,)), agreements())
    assert set(found["outcome"]) == {"not resolved"}


def test_a_study_without_controls_has_no_such_lines(tmp_path: Path) -> None:
    plain = store_of(tmp_path, ["grpo", "eapo"], (0,), {})
    assert learning.against_controls(plain, agreements()).empty


def test_in_words(store: Store) -> None:
    lines = learning.against_controls(store, agreements())
    none = [
        {"part": "answer", "method": "all", "metric": name, "n": 5, "outcome": "not measured"}
        for name in learning.ASKED
    ]
    first, second = learning.in_words(pd.concat([pd.DataFrame(none), lines]))
    assert first.startswith("Does better credit give better learning? Not measured")
    title = store.study.methods["eapo-shuffled"].title
    assert f"EAPO − {title}: ρ 0.20, score −" in second
    assert second.endswith("Holm-adjusted over 3.")
    assert len(learning.in_words(pd.DataFrame(none))) == 1
