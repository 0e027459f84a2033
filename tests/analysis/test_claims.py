"""The paper's claims: each can come out either way, as it was planted, and no line says more than its records do."""

from __future__ import annotations

import json
import math
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_study
from claimed import OWN, ROOT, SEEDS, at_any_length, decided, named, plant, quadrants_of, score, store_of
from scipy import stats
from synthetic_study import CURVE, PROBLEMS, SAMPLES, STEPS, TIERS

from tokencredit import files
from tokencredit.analysis import scores as results
from tokencredit.analysis import tables
from tokencredit.analysis.paper import claims
from tokencredit.analysis.paper.contrasts import in_words
from tokencredit.analysis.store import Store
from tokencredit.config import Config, Row, load_study
from tokencredit.study.exhibits import inputs, planned

MANY = 16  # responses to a question, as the claims about Pass@n ask for

# What each claim holds above the rest of its methods.
FAVOURED = {
    "c1": ["phr", "nhr"],
    "c2": ["phr", "nhr"],
    "c3": [],
    "c4": ["nhr", "nlr"],
    "c5": ["nhr"],
    "c6": ["eapo"],
    "c7": ["eapo", "eapo-without-plr", "eapo-without-nlr"],
    "c8": ["eapo"],
    "c9": ["eapo"],
    "c11": ["eapo"],
    "c12": ["phr"],
}


def study_methods(claim: str) -> list[str]:
    return list(dict.fromkeys(["grpo", *named(OWN[claim])]))


# ---------------------------------------------------------------- the project's claims


@pytest.mark.slow
@pytest.mark.parametrize(("claim", "as_claimed"), list(product(FAVOURED, (True, False))))
def test_every_contrast_of_every_claim_comes_out_as_planted(
    claim: str, as_claimed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_study, "SAMPLES", MANY)
    up = {name for name in named(OWN[claim]) if (name in FAVOURED[claim]) == as_claimed}
    low = 0.3 if claim == "c1" else -2.5  # who needs more steps learns something
    gains = {name: 2.5 if name in up else low for name in named(OWN[claim])}
    uncertain = {
        name for name in gains if (name in up) == (claim != "c12")
    }  # who learns faster is to be less uncertain
    plant(monkeypatch, gains, {name: 0.34 if name in uncertain else 0.02 for name in gains})
    declared = {claim: at_any_length(OWN[claim])}
    of_claims, contrasts = decided(store_of(tmp_path, study_methods(claim), SEEDS, declared))
    expected = "supported" if as_claimed else "contradicted"
    assert contrasts["outcome"].tolist() == [expected] * len(contrasts)
    assert of_claims["outcome"].tolist() == [expected]
    assert (contrasts["low"] < contrasts["effect"]).all()
    assert (contrasts["effect"] < contrasts["high"]).all()


def test_all_claims_are_planted_but_that_on_measured_credit(tmp_path: Path) -> None:
    assert set(OWN) - set(FAVOURED) == {"c10"}
    of_claims, _ = decided(store_of(tmp_path, ["grpo"], (0,), OWN))
    assert of_claims.index.tolist() == [f"c{number}" for number in range(1, 13)]
    assert set(of_claims["outcome"]) == {"not measured"}
    assert of_claims.loc["c10", "reason"] == "; ".join(
        f"the study does not measure the credit of {whose}"
        for whose in ("the base model's tokens", "the tokens of grpo", "the tokens of eapo")
    )


def test_every_study_of_the_project_has_the_table() -> None:
    config = Config(ROOT / "config")
    for name in config.study_names:
        study = config.study(name)
        assert "claims" in planned(study)["tables"]
        first = f"{study.home}/runs/{study.reference}/seed{study.training.seeds[0]}/run.json"
        assert first in inputs(study, "table", "claims")


# ---------------------------------------------------------------- outcomes


def test_an_effect_of_twenty_points_is_supported_and_its_reverse_contradicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {"grpo": 1.6, "eapo": 3.0}, {})
    declared = {
        "above": {"contrasts": [score("eapo", "grpo")]},
        "below": {"contrasts": [score("eapo", "grpo", direction="lower")]},
    }
    of_claims, contrasts = decided(store_of(tmp_path, ["grpo", "eapo"], (0, 1, 2), declared))
    assert contrasts["effect"].tolist() == pytest.approx([20, 20], abs=4)
    assert of_claims["outcome"].to_dict() == {"above": "supported", "below": "contradicted"}
    assert of_claims.loc["above", "reason"] == "each of 1"


@pytest.mark.slow
def test_the_same_method_twice_is_not_resolved_and_says_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {"dapo": 1.6, "grpo": 1.6}, {"dapo": 0.2, "grpo": 0.2})
    entropy = {"kind": "entropy", "method": "dapo", "against": ["grpo"], "direction": "higher"}
    declared = {"same": {"contrasts": [score("dapo", "grpo"), score("dapo", "grpo", metric="pass"), entropy]}}
    store = store_of(tmp_path, ["grpo", "dapo"], (0, 1, 2), declared)
    of_claims, contrasts = decided(store)
    assert of_claims["outcome"].tolist() == ["not resolved"]
    assert contrasts["outcome"].tolist() == ["not resolved"] * 3
    assert (contrasts["detectable"][:2] > contrasts["effect"][:2].abs()).all()
    assert contrasts["detectable"][2] > 1
    assert (contrasts["seeds_needed"] > 3).all()
    assert contrasts["samples_needed"][0] > SAMPLES
    shown = claims.wide(claims.records(store), store)
    assert all("finds" in row.cells[0].notes[-1] and "takes" in row.cells[0].notes[-1] for row in shown.rows[1:])


@pytest.mark.slow
def test_passes_are_at_the_largest_k_that_all_responses_allow_and_the_base_leaves_open(tmp_path: Path) -> None:
    contrasts = [
        score("eapo", "grpo", metric="pass"),
        *(score("eapo", "grpo") | {"samples_at_least": least} for least in (1, 8, 9)),
        score("eapo", "grpo", metric="pass") | {"samples_at_least": 8},
    ]
    store = store_of(tmp_path, ["grpo", "eapo"], (0, 1), {"gap": {"contrasts": contrasts}})
    take_fewer(store, "toy-tier1", 4)
    _, found = decided(Store(load_study(tmp_path / "config", "synthetic"), store.results))
    ends = ["Pass@k", "Avg@n", "Avg@n of Tier 2, Tier 3", "Avg@n", "Pass@k of Tier 2, Tier 3"]
    assert found["contrast"].tolist() == [f"EAPO above GRPO: mean {end}" for end in ends]
    assert found["questions"].tolist()[:3] == [3 * PROBLEMS, 3 * PROBLEMS, 2 * PROBLEMS]
    assert found["k"][[0, 4]].tolist() == [4, 4]
    assert found["reason"][3] == "the study takes 9 responses to a question on no benchmark"
    parts = [
        pd.read_parquet(store.paths.home.joinpath(f"eval/{name}/seed{seed}/scores.parquet"))
        for name in ("eapo", "grpo")
        for seed in (0, 1)
    ]
    passed = []
    for part in parts:
        missed = [math.comb(n - right, 4) / math.comb(n, 4) for n, right in zip(part["n"], part["right"], strict=True)]
        passed.append(100 * (1 - np.mean(missed)))
    assert found["effect"][0] == pytest.approx(np.mean(passed[:2]) - np.mean(passed[2:]))


def test_passes_that_the_base_model_nearly_has_are_not_compared(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["grpo", "eapo"], (0, 1), {"gap": {"contrasts": [score("eapo", "grpo", metric="pass")]}})
    config = store.study.config.folder / "studies" / "synthetic.yaml"
    config.write_text(config.read_text() + "analysis: {pass_k: [2, 8], pass_below: 0.01}\n")
    _, found = decided(Store(load_study(tmp_path / "config", "synthetic"), store.results))
    assert found["outcome"].tolist() == ["not measured"]
    assert found["reason"][0] == "the base model solves 1 % or more at each k of 2, 8 that the responses allow"


def test_the_passes_of_the_quadrants_are_of_benchmarks_with_responses_enough() -> None:
    store = Store(Config(ROOT / "config").study("paper-quadrants"), Path("none"))
    (contrast,) = [
        contrast for contrast in store.study.config.claims.claims["c3"].contrasts if contrast.kind == "score"
    ]
    said = in_words(store, contrast, "base")
    assert said == "PLR below the base model: mean Pass@k of AIME24, AIME25, AMC, MATH-500"


def take_fewer(store: Store, benchmark: str, samples: int) -> None:
    """Let the study and its records have ``samples`` responses to the questions of a benchmark."""
    config = store.study.config.folder / "studies" / "synthetic.yaml"
    config.write_text(
        config.read_text().replace(f"- benchmark: {benchmark}\n", f"- benchmark: {benchmark}\n    samples: {samples}\n")
    )
    for path in store.results.glob("synthetic/eval/*/*/scores.parquet"):
        table, metadata = pd.read_parquet(path), files.parquet_metadata(path)
        fewer = table["benchmark"] == benchmark
        table.loc[fewer, ["n", "right", "wrong", "ungraded"]] = [samples, 1, samples - 1, 0]
        files.write_parquet(path, table, metadata)


def test_one_seed_resolves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"grpo": 0, "eapo": 5.0}, {"eapo": 0.34, "grpo": 0.02})
    declared = {"c8": at_any_length(OWN["c8"]), "gap": {"contrasts": [score("eapo", "grpo", "base")]}}
    of_claims, contrasts = decided(store_of(tmp_path, ["grpo", "eapo"], (0,), declared))
    assert set(of_claims["outcome"]) == {"not resolved"}
    assert set(of_claims["reason"]) == {"one training seed tells nothing of other runs"}
    gaps = contrasts[contrasts["claim"] == "gap"]
    assert (gaps["p"] < 0.001).all()
    assert set(gaps["reason"]) == {"one training seed tells nothing of other runs; resolved for these checkpoints"}
    entropies = contrasts[contrasts["claim"] == "c8"]
    assert entropies["effect"].notna().all()
    assert entropies[["low", "high", "p", "p_holm"]].isna().all(axis=None)


@pytest.mark.slow
def test_a_step_without_entropy_decides_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["grpo", "eapo"], (0, 1, 2), {"c8": at_any_length(OWN["c8"])})
    synthetic_study.lose_entropy(tmp_path, "grpo", seed=1, step=STEPS)
    of_claims, contrasts = decided(store)
    assert of_claims.loc["c8", "outcome"] == "not measured"
    grpo = "grpo learned nothing in one of its last 5 steps: that step has no entropy"
    assert contrasts["reason"].tolist() == [grpo, "", ""]


@pytest.mark.slow
def test_an_invalid_run_is_not_compared(tmp_path: Path) -> None:
    of_claims, contrasts = decided(store_of(tmp_path, study_methods("c5"), (0, 1), {"c5": OWN["c5"]}))
    (line,) = contrasts[contrasts["outcome"] == "not measured"].to_dict("records")
    assert line["contrast"] == "NHR above NLR: mean Avg@n"
    assert line["reason"] == "not compared: nlr has an invalid run (seed 1: the loss was not finite at step 29)"
    assert math.isnan(line["effect"])
    assert of_claims["outcome"].tolist() == ["not measured"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["grpo", "eapo"], (0, 1), {"gap": {"contrasts": [score("eapo", "grpo")]}})
    store.paths.home.joinpath("eval/eapo/seed1/scores.parquet").unlink()
    of_claims, _ = decided(store)
    assert of_claims.loc["gap", "outcome"] == "not measured"
    assert of_claims.loc["gap", "reason"] == "eval/eapo/seed1/scores.parquet is not there (1 of 8 files)"


# ---------------------------------------------------------------- numbers


@pytest.fixture(scope="module")
def quadrants(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return quadrants_of(tmp_path_factory.mktemp("quadrants"), MANY)


def line_of(store: Store, claim: str, contrast: str) -> dict:
    table = claims.records(store)
    (line,) = table[(table["claim"] == claim) & (table["contrast"] == contrast)].to_dict("records")
    return line


@pytest.mark.slow
def test_a_difference_of_scores_is_recomputed_by_hand(quadrants: Store) -> None:
    line = line_of(quadrants, "c5", "NHR above PHR: mean Avg@n")
    shares = {
        name: np.array(
            [
                [part["right"] / MANY for _, part in pd.read_parquet(path).groupby("benchmark")]
                for path in (quadrants.paths.home.joinpath(f"eval/{name}/seed{seed}/scores.parquet") for seed in SEEDS)
            ]
        )
        for name in ("nhr", "phr")
    }  # [seeds, benchmarks, questions]
    delta = shares["nhr"] - shares["phr"]
    of_questions = 0.0
    for one in delta.swapaxes(0, 1):
        rest = one - one.mean(0) - one.mean(1, keepdims=True) + one.mean()
        interaction = (rest**2).sum() / (2 * (PROBLEMS - 1)) / 3
        of_questions += max(0.0, one.mean(0).var(ddof=1) - interaction) / PROBLEMS / len(TIERS) ** 2
    noise = sum(np.mean(of * (1 - of)) for of in shares.values()) / (MANY - 1) / (PROBLEMS * len(TIERS))
    of_pairs = max(noise, delta.mean((1, 2)).var(ddof=1)) / 3
    margin = stats.t.ppf(0.975, PROBLEMS - 1) ** 2 * of_questions + stats.t.ppf(0.975, 2) ** 2 * of_pairs
    assert line["effect"] == pytest.approx(100 * delta.mean())
    assert line["low"] == pytest.approx(100 * (delta.mean() - math.sqrt(margin)))
    assert line["high"] == pytest.approx(100 * (delta.mean() + math.sqrt(margin)))
    assert (line["questions"], line["samples"], line["seeds"]) == (PROBLEMS * len(TIERS), MANY, "0 2 3")
    scored = [f"eval/{name}/seed{seed}/scores.parquet" for name in ("nhr", "phr") for seed in SEEDS]
    runs = [f"runs/{name}/seed{seed}/run.json" for name in ("nhr", "phr") for seed in SEEDS]
    assert line["files"].split() == [*runs, *scored]


@pytest.mark.slow
def test_steps_are_recomputed_by_hand(quadrants: Store) -> None:
    line = line_of(quadrants, "c1", "PHR after 50 % of the steps above PLR after all: Avg@n on the curve")

    def right(method: str, step: int) -> np.ndarray:
        read = [
            pd.read_parquet(quadrants.paths.home.joinpath(f"runs/{method}/seed{seed}/evaluations.parquet"))
            for seed in SEEDS
        ]
        at = [table[table["step"] == step] for table in read]
        return np.array([(part["outcome"] == "right").groupby(part["problem_id"]).mean() for part in at])

    early, late = (right("phr", 10) + right("phr", 20)) / 2, right("plr", STEPS)  # step 15 lies between two
    delta = early - late
    rest = delta - delta.mean(0) - delta.mean(1, keepdims=True) + delta.mean()
    of_questions = max(0.0, delta.mean(0).var(ddof=1) - (rest**2).sum() / (2 * (CURVE - 1)) / 3) / CURVE
    of_pairs = max(np.mean(late * (1 - late)) / (MANY - 1) / CURVE, delta.mean(1).var(ddof=1)) / 3
    margin = math.sqrt(stats.t.ppf(0.975, CURVE - 1) ** 2 * of_questions + stats.t.ppf(0.975, 2) ** 2 * of_pairs)
    assert (line["low"], line["high"]) == pytest.approx((100 * (delta.mean() - margin), 100 * (delta.mean() + margin)))


@pytest.mark.slow
def test_ratios_of_entropies_are_recomputed_by_hand(quadrants: Store) -> None:
    def logs(method: str, steps: range) -> np.ndarray:
        paths = [quadrants.paths.home.joinpath(f"runs/{method}/seed{seed}/metrics.jsonl") for seed in SEEDS]
        runs = [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]
        return np.log([np.mean([line["entropy"] for line in run if line["step"] in steps]) for run in runs])

    first, last = range(1, 6), range(STEPS - 4, STEPS + 1)
    line = line_of(quadrants, "c3", "PLR below 0.5 × its start: entropy at the end")
    change = logs("plr", last) - logs("plr", first)
    tested = stats.ttest_1samp(change, math.log(0.5))
    assert line["effect"] == pytest.approx(math.exp(change.mean()))
    assert line["p"] == pytest.approx(max(tested.pvalue, 1e-9), rel=1e-4)
    assert (line["low"], line["high"]) == pytest.approx(tuple(np.exp(list(tested.confidence_interval(0.95)))))

    def probed(method: str) -> np.ndarray:
        paths = [quadrants.paths.home.joinpath(f"runs/{method}/seed{seed}/probe.parquet") for seed in SEEDS]
        return np.log([pd.read_parquet(path).query(f"step == {STEPS}")["entropy"].mean() for path in paths])

    line = line_of(quadrants, "c4", "NHR above PHR: entropy at the end, of fixed tokens of the base model")
    pairs = probed("nhr") - probed("phr")
    margin = stats.t.ppf(0.975, 2) * math.sqrt(pairs.var(ddof=1) / 3)
    assert line["low"] == pytest.approx(math.exp(pairs.mean() - margin))


@pytest.mark.slow
def test_differences_of_scores_are_those_of_the_comparison_tables(quadrants: Store) -> None:
    table = results.results(quadrants, quadrants.study.rows, {row.name: "phr" for row in quadrants.study.rows}, None)
    record = table.set_index(["method", "benchmark"]).loc[("nhr", "mean")]
    line = line_of(quadrants, "c5", "NHR above PHR: mean Avg@n")
    assert line["effect"] == pytest.approx(record["difference"])
    assert (line["low"], line["high"], line["p"]) == pytest.approx(tuple(record[["runs_low", "runs_high", "runs_p"]]))


class Shuffled(Store):
    """Every Parquet table with its rows in another order."""

    @cache  # noqa: B019
    def scores(self, row: Row) -> pd.DataFrame:
        return super().scores(row).sample(frac=1, random_state=1)

    def tokens(self, table: str, method: str, columns: list[str]) -> pd.DataFrame:
        return super().tokens(table, method, columns).sample(frac=1, random_state=1)


@pytest.mark.slow
def test_the_order_of_rows_changes_nothing(quadrants: Store) -> None:
    shuffled = Shuffled(quadrants.study, quadrants.results)
    pd.testing.assert_frame_equal(claims.records(shuffled), claims.records(quadrants), rtol=1e-12)


# ---------------------------------------------------------------- table


@pytest.mark.slow
def test_the_table_is_made_with_its_provenance(quadrants: Store, tmp_path: Path) -> None:
    made = tables.make(quadrants, "claims", tmp_path)
    again = tables.read(made[0])
    assert again["outcome"].tolist() == claims.records(quadrants)["outcome"].tolist()
    shown = tables.wide("claims", again, quadrants)
    assert shown.columns[0][0] == "Outcome"
    assert shown.notes[0].startswith("6 claims: ")
    assert len(shown.rows) == len(again)
    assert r"\begin{longtable}{p{0.4\linewidth}*{3}{p{0.17\linewidth}}}" in made[1].read_text()
    rest_on = {f"synthetic/{path}" for line in again["files"] for path in line.split()}
    assert rest_on == set(files.read_json(made[2])["files"]) == set(inputs(quadrants.study, "table", "claims"))
