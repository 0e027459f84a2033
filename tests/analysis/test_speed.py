"""How fast methods learn, and Pass@k at the declared k, beside where they end: by hand from the stored records."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from claimed import decided, store_of
from scipy import stats
from synthetic_study import CURVE, SAMPLES, STEPS

from tokencredit.analysis import tables
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.errors import UserError

pytestmark = pytest.mark.slow  # tables over whole synthetic studies
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    faster = {"kind": "speed", "method": "eapo", "against": ["dapo"], "direction": "higher"}
    declared = {"faster": {"contrasts": [faster | {"measure": measure} for measure in ("speed", "area")]}}
    return store_of(tmp_path_factory.mktemp("speed"), ["grpo", "dapo", "eapo"], SEEDS, declared)


@pytest.fixture(scope="module")
def table(store: Store, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    made = tables.make(store, "table1", tmp_path_factory.mktemp("table1"))
    return tables.read(made[0]).set_index(["method", "benchmark"])


def solve_rates(store: Store, method: str, steps: range) -> np.ndarray:
    paths = [store.paths.home / f"runs/{method}/seed{seed}/metrics.jsonl" for seed in SEEDS]
    runs = [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]
    return np.array([np.mean([line["solve_rate"] for line in run if line["step"] in steps]) for run in runs])


def areas(store: Store, method: str) -> np.ndarray:
    found = []
    for seed in SEEDS:
        read = pd.read_parquet(store.paths.home / f"runs/{method}/seed{seed}/evaluations.parquet")
        right = (read["outcome"] == "right").groupby(read["step"]).sum() / (SAMPLES * CURVE)
        steps, scores = right.index.to_numpy(), right.to_numpy()
        found.append(np.sum(np.diff(steps) * (scores[1:] + scores[:-1]) / 2) / STEPS)
    return np.array(found)


def test_speed_is_the_solve_rate_of_the_first_half_and_area_that_under_the_curve(
    store: Store, table: pd.DataFrame
) -> None:
    line = table.loc[("dapo", "mean")]
    for measure, own in (
        ("speed", solve_rates(store, "dapo", range(2, STEPS // 2 + 1))),
        ("area", areas(store, "dapo")),
    ):
        low, high = stats.t.interval(0.95, len(SEEDS) - 1, own.mean(), own.std(ddof=1) / math.sqrt(len(SEEDS)))
        ends = [line[f"{measure}{end}"] for end in ("", "_low", "_high")]
        assert ends == pytest.approx([100 * own.mean(), 100 * low, 100 * high], rel=1e-4)
    assert (
        table.loc[("dapo", "toy-tier1"), "speed"] != table.loc[("dapo", "toy-tier1"), "speed"]
    )  # of the mean's line alone
    assert np.isnan(table.loc[("base", "mean"), "area"])


def test_claims_about_speed_compare_pairs_of_runs(store: Store) -> None:
    _, contrasts = decided(store)
    sides = [(solve_rates(store, name, range(2, 16)), areas(store, name)) for name in ("eapo", "dapo")]
    for place, (own, other) in enumerate(zip(*sides, strict=True)):
        assert contrasts["effect"][place] == pytest.approx(100 * (own - other).mean())
        assert contrasts["p"][place] == pytest.approx(max(stats.ttest_rel(own, other).pvalue, 1e-9), rel=1e-4)
    assert contrasts["pairs"].tolist() == [len(SEEDS)] * 2
    assert contrasts["contrast"].tolist() == [
        "EAPO above DAPO: solve rate of steps 2 to 15",
        "EAPO above DAPO: area under Avg@n on the curve",
    ]


def test_passes_at_the_declared_k_are_unbiased(store: Store, table: pd.DataFrame) -> None:
    read = [pd.read_parquet(store.paths.home / f"eval/dapo/seed{seed}/scores.parquet") for seed in SEEDS]
    scores = pd.concat(read).query("benchmark == 'toy-tier2'")
    missed = [math.comb(n - right, 4) / math.comb(n, 4) for n, right in zip(scores["n"], scores["right"], strict=True)]
    line = table.loc[("dapo", "toy-tier2")]
    assert line["pass_at_4"] == pytest.approx(100 * (1 - np.mean(missed)), rel=1e-4)
    assert line["pass_at_4_low"] < line["pass_at_4"] < line["pass_at_4_high"]
    assert line["pass_at_4_difference"] == pytest.approx(
        line["pass_at_4"] - table.loc[("grpo", "toy-tier2"), "pass_at_4"], abs=1e-3
    )
    assert table["pass_at_16"].isna().all()  # of eight responses there is none
    of_tiers = table.loc["dapo"]["pass_at_4"].drop("mean")
    assert table.loc[("dapo", "mean"), "pass_at_4"] == pytest.approx(of_tiers.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("analysis", "sentence"),
    [
        ("{speed_steps: [2, 31]}", r"analysis\.speed_steps\.1 = 31: training has 30 steps, no later one is allowed"),
        ("{speed_steps: [9, 2]}", r"speed_steps = \[9, 2\] must be the first step and then the last"),
        ("{pass_k: [4, 4]}", r"pass_k: 4 is listed 2 times"),
    ],
)
def test_what_is_declared_wrongly_is_one_sentence(store: Store, analysis: str, sentence: str) -> None:
    path = store.study.config.folder / "studies" / "wrong.yaml"
    path.write_text((path.parent / "synthetic.yaml").read_text() + f"analysis: {analysis}\n")
    with pytest.raises(UserError, match=sentence):
        load_study(store.study.config.folder, "wrong")
