"""Many studies in which all methods are one: how often a claim about them is decided all the same."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claimed import decided, score, store_of, write_claims
from synthetic_study import CURVE, PROBLEMS, SAMPLES, STEPS, TIERS

from tokencredit.analysis.store import Store
from tokencredit.config import Row, load_study

STUDIES, CONFIDENCE, SEEDS = 120, 0.9, (0, 1, 2)
CLAIMS: dict[str, Any] = {
    "avg": {"contrasts": [score("eapo", "grpo")]},
    "pass": {"contrasts": [score("eapo", "grpo", metric="pass", direction="lower")]},
    "base": {"contrasts": [score("eapo", "base")]},
    "entropy": {"contrasts": [{"kind": "entropy", "method": "eapo", "against": ["grpo"], "direction": "higher"}]},
    "steps": {"contrasts": [{"kind": "steps", "method": "eapo", "against": ["grpo"], "part": 0.5}]},
    "best": {"contrasts": [score("eapo", "grpo", "dapo", "hapo")]},
}


class Drawn(Store):
    """Results drawn anew: every run has an ability of its own around one that all methods share, and the questions are drawn too."""

    def __init__(self, like: Store, number: int) -> None:
        super().__init__(like.study, like.results)
        self.noise = np.random.default_rng(number)
        self.difficulty = {name: self.noise.normal(level, 1.2, PROBLEMS) for name, level in TIERS.items()}
        self.drawn: dict[str, pd.DataFrame] = {}

    def scores(self, row: Row) -> pd.DataFrame:
        if row.path not in self.drawn:
            shift = self.noise.normal(1, 0.3 if row.method else 0)
            counts = {name: self._right(shift + level) for name, level in self.difficulty.items()}
            parts = [
                {"benchmark": name, "right": right, "problem_id": range(PROBLEMS)} for name, right in counts.items()
            ]
            self.drawn[row.path] = pd.concat(map(pd.DataFrame, parts)).assign(n=SAMPLES)
        return self.drawn[row.path]

    def metrics(self, method: str, columns: Any = ()) -> pd.DataFrame:
        runs = {seed: math.exp(self.noise.normal(-1, 0.4)) for seed in SEEDS}
        return pd.DataFrame(
            [{"seed": seed, "step": step, "entropy": runs[seed]} for seed in SEEDS for step in range(1, STEPS + 1)]
        )

    def tokens(self, table: str, method: str, columns: list[str]) -> pd.DataFrame:
        questions = self.difficulty["toy-tier2"][:CURVE]
        parts = []
        for seed in SEEDS:
            shift = self.noise.normal(1, 0.3)
            for step in (0, 10, 20, 30):
                right = np.arange(SAMPLES) < self._right(shift + questions)[:, None]
                outcome = np.where(right, "right", "wrong").ravel()
                problem = np.repeat(np.arange(CURVE), SAMPLES)
                parts.append(pd.DataFrame({"seed": seed, "step": step, "problem_id": problem, "outcome": outcome}))
        return pd.concat(parts, ignore_index=True)

    def _right(self, ability: np.ndarray) -> np.ndarray:
        return self.noise.binomial(SAMPLES, 1 / (1 + np.exp(-ability)))


@pytest.mark.slow
def test_claims_without_truth_are_decided_no_more_often_than_their_level(tmp_path: Path) -> None:
    like = store_of(tmp_path, ["grpo", "dapo", "eapo", "hapo"], SEEDS, CLAIMS)
    write_claims(tmp_path / "config", CLAIMS, CONFIDENCE)
    like.study = load_study(tmp_path / "config", "synthetic")
    wrong: Counter[str] = Counter()
    for number in range(STUDIES):
        of_claims, _ = decided(Drawn(like, number))
        assert not (of_claims["outcome"] == "not measured").any()
        wrong.update(of_claims.index[of_claims["outcome"].isin(["supported", "contradicted"])])
    level = 1 - CONFIDENCE
    most = STUDIES * level + 2.6 * math.sqrt(STUDIES * level * (1 - level))  # one in two hundred by chance
    assert {name: count for name, count in wrong.items() if count > most} == {}, wrong
    assert sum(wrong.values()) > 0, wrong
