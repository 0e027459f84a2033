"""The outcomes of claims: what is adjusted for what, what is not testable, and what of the paper's own effects is excluded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import synthetic_study
from claimed import SEEDS, decided, plant, quadrants_of, score, store_of, write_claims
from statsmodels.stats.multitest import multipletests
from synthetic_study import PROBLEMS

from tokencredit import statistics
from tokencredit.analysis.paper import claims
from tokencredit.analysis.store import Store
from tokencredit.config import ScoreContrast, load_study

pytestmark = pytest.mark.slow  # tables over whole synthetic studies


@pytest.fixture(scope="module")
def quadrants(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return quadrants_of(tmp_path_factory.mktemp("quadrants"), 16)


def effect(mean: float, p: float, direction: Literal["higher", "lower"] = "higher") -> claims.Effect:
    found = statistics.TwoLevel(mean, mean - 0.1, mean + 0.1, p, [(0.01, 39)], [0.001], [statistics.Spread(0.002, 3)])
    return claims.Effect(found, "points", "", [0, 1, 2], [], 40, 8, direction=direction)


def test_a_claim_about_long_training_is_not_testable_on_a_short_one(quadrants: Store) -> None:
    """Sixty updates cannot halve an entropy that the paper's runs halve in hundreds."""
    of_claims, contrasts = decided(quadrants)
    short = contrasts[contrasts["reason"] == "at this length: 60 updates, 900 are needed"]
    assert short.groupby("claim").size().to_dict() == {"c3": 1, "c8": 3}
    assert set(short["outcome"]) == {"not testable"}
    assert short[["effect", "low", "high", "detectable"]].notna().all(axis=None)
    assert short["p_holm"].isna().all()
    assert of_claims.loc["c8", "outcome"] == "not testable"


def test_who_does_not_rise_tells_nothing_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"nhr": 2.5, "nlr": -2.5}, {})
    declared = {"sooner": {"contrasts": [{"kind": "steps", "method": "nhr", "against": ["nlr"], "part": 0.8}]}}
    of_claims, contrasts = decided(store_of(tmp_path, ["grpo", "nhr", "nlr"], SEEDS, declared))
    assert of_claims["outcome"].tolist() == ["not testable"]
    assert contrasts["low"][0] > 0
    assert contrasts["reason"][0].startswith("NLR ends at ")
    assert contrasts["reason"][0].endswith("each step is above its end, the untrained model too")


def test_an_effect_that_the_paper_prints_is_excluded_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 1 has EAPO 4.8 points above GRPO, Table 2 3.1; none is printed of HAPO."""
    plant(monkeypatch, {"grpo": 1.6, "hapo": 1.6, "eapo": 3.5}, {})
    contrasts = [score("eapo", "grpo", "hapo") | {"printed": ["table1", "table2"]}]
    store = store_of(tmp_path, ["grpo", "hapo", "eapo"], SEEDS, {"gap": {"contrasts": contrasts}})
    _, found = decided(store)
    assert found["low"][0] > 4.8
    assert (found["printed"].tolist(), found["excluded"].tolist()) == (
        ["+4.8 (table1), +3.1 (table2)", ""],
        ["+4.8 (table1), +3.1 (table2)", ""],
    )


def test_a_conjunction_needs_each_of_its_contrasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"grpo": 1.6, "dapo": 3.0, "eapo": 3.0, "hapo": 5.0}, {})
    declared = {
        "one-open": {"contrasts": [score("eapo", "grpo", "dapo")]},
        "one-against": {"contrasts": [score("eapo", "grpo", "dapo", "hapo")]},
        "one-against-one-missing": {"contrasts": [score("eapo", "hapo", "forking")]},
        "one-missing": {"contrasts": [score("eapo", "grpo", "forking")]},
    }
    store = store_of(tmp_path, ["grpo", "dapo", "eapo", "hapo"], (0, 1, 2), declared)
    parts = []
    for name, claim in declared.items():  # each by itself: of four claims together chance would resolve more
        write_claims(tmp_path / "config", {name: claim})
        parts.append(decided(Store(load_study(tmp_path / "config", "synthetic"), store.results)))
    of_claims, contrasts = (pd.concat(tables) for tables in zip(*parts, strict=True))
    assert contrasts["outcome"].tolist()[:5] == [
        *("supported", "not resolved"),
        *("supported", "not resolved", "contradicted"),
    ]
    assert of_claims["outcome"].tolist() == ["not resolved", "contradicted", "contradicted", "not measured"]
    assert of_claims["reason"].tolist() == [
        "EAPO above DAPO: mean Avg@n; of the other contrasts: 1 supported",
        "EAPO above HAPO (reconstruction): mean Avg@n; of the other contrasts: 1 supported, 1 not resolved",
        "EAPO above HAPO (reconstruction): mean Avg@n; of the other contrasts: 1 not measured",
        "the study does not train forking; of the other contrasts: 1 supported",
    ]


def test_what_contradicts_is_adjusted_over_the_contrasts_of_all_claims() -> None:
    p_values = [0.04, 0.001, 0.2, 0.012]
    names = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    lines = [claims._Line(ScoreContrast(**score("eapo", "grpo")), "", effect(-0.1, p)) for p in p_values]
    adjusted = claims._adjusted(dict(zip(names, lines, strict=True)))
    assert list(adjusted.values()) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert list(adjusted) == names


def test_what_is_claimed_is_adjusted_over_all_claims() -> None:
    """Its p is the largest of its contrasts; resolved alone, and not as one of several claims."""
    supported = [{"outcome": "supported", "reason": "", "contrast": ""}] * 2
    outcomes = [claims._claim(supported, 0.03, p_holm, 0.05)["outcome"] for p_holm in (0.03, 0.06)]
    assert outcomes == ["supported", "not resolved"]


def test_the_p_of_a_claim_is_the_largest_of_its_contrasts(quadrants: Store) -> None:
    of_claims, contrasts = decided(quadrants)
    of_c5 = contrasts[contrasts["claim"] == "c5"]
    higher = of_c5["effect"] > 0
    assert of_claims.loc["c5", "p"] == pytest.approx(of_c5["p"].where(higher, 1.0).max())
    tested = of_claims["p"].notna()
    assert of_claims.loc[tested, "p_holm"].tolist() == pytest.approx(
        multipletests(of_claims.loc[tested, "p"], method="holm")[1]
    )
    assert not tested["c8"]


def test_what_is_against_a_claim_is_adjusted_for_its_contrasts() -> None:
    """p = 0.03 the other way decides alone, and not as one of two."""
    lines = [("higher", 0.03, 0.03, "contradicted"), ("higher", 0.03, 0.06, "not resolved")]
    lines.append(("lower", 0.03, 0.06, "supported"))
    for direction, p, p_holm, outcome in lines:
        assert claims._judged(effect(-0.1, p, direction), p_holm, 0.05)["outcome"] == outcome


@pytest.mark.parametrize(
    ("plr", "outcome"),
    [(2.5, "not resolved"), (6.0, "contradicted")],
)
def test_needing_fewer_steps_is_contradicted_by_needing_more_alone(
    plr: float, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As good after all steps, and far from it after a tenth: PLR needs as many steps, which contradicts no sentence about them."""
    plant(monkeypatch, {"phr": 2.5, "plr": plr}, {})
    monkeypatch.setattr(synthetic_study, "CURVE", PROBLEMS)
    declared = {"sooner": {"contrasts": [{"kind": "steps", "method": "phr", "against": ["plr"], "part": 1 / 3}]}}
    of_claims, contrasts = decided(store_of(tmp_path, ["grpo", "phr", "plr"], (0, 1, 2), declared))
    assert contrasts["high"][0] < 0
    assert of_claims["outcome"].tolist() == [outcome]
