"""Printed against obtained: every printed number has a line, every line a verdict that can be recomputed by hand."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from synthetic_study import SAMPLES, STEPS, lose_entropy, make_study

from tokencredit import files
from tokencredit.analysis import tables
from tokencredit.analysis.paper import verdicts
from tokencredit.analysis.paper.printed import ROUNDING, implied_se, printed
from tokencredit.analysis.store import Store
from tokencredit.config import Config, load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import inputs, planned

ROOT = Path(__file__).parents[2]
TARGETS = ROOT / "config" / "targets"
MODEL = "embedded-1m"


def write_targets(folder: Path, lines: list[tuple], **changes: object) -> None:
    """``targets.yaml`` and ``tables.csv`` for the synthetic study. lines: method, benchmark, metric, k, value, runs, se, slip."""
    tolerances = {"avg": 3.0, "mean": 1.5, "pass_at_k": 6.0, "accuracy": 2.0, "tokens": 10.0}
    source = {"title": "Table 1", "file": "tables", "study": "synthetic"}
    content = {
        "confidence": 0.9,
        "tolerances": tolerances | {"solve_rate": 3.0, "entropy": 0.03},
        "sources": {"table1": source | changes},
    }
    (folder / "targets.yaml").write_text(yaml.safe_dump(content))
    columns = ["method", "benchmark", "metric", "k", "value", "runs", "se", "slip"]
    table = pd.DataFrame(lines, columns=columns).assign(table="table1", model=MODEL, samples=SAMPLES, questions=40)
    table.to_csv(folder / "targets" / "tables.csv", index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("verdicts")
    make_study(made, ["grpo", "nlr"], (0, 1, 2))
    return made


def judged(folder: Path, lines: list[tuple]) -> pd.DataFrame:
    write_targets(folder / "config", lines)
    return verdicts.records(Store(load_study(folder / "config", "synthetic"), folder / "results"))


def averages(folder: Path, method: str, benchmark: str, seeds: int = 3) -> np.ndarray:
    """Percent right of every seed and question, read without the package."""
    paths = [folder / f"results/synthetic/eval/{method}/seed{seed}/scores.parquet" for seed in range(seeds)]
    read = [pd.read_parquet(path).query(f"benchmark == '{benchmark}'") for path in paths]
    return np.array([100 * part["right"] / part["n"] for part in read])


def test_the_verdicts_are_those_of_the_rules() -> None:
    assert verdicts.verdict(-2.9, 2.9, 3) == "reproduced"
    assert verdicts.verdict(0.1, 2.9, 3) == "reproduced"
    assert verdicts.verdict(-3.1, 2.9, 3) == "consistent"
    assert verdicts.verdict(0.1, 3.1, 3) == "higher"
    assert verdicts.verdict(-3.1, -0.1, 3) == "lower"
    with pytest.raises(ValueError, match="an interval of numbers"):
        verdicts.verdict(-3.1, math.nan, 3)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_intervals_of_differences_cover(runs: int, spread: float) -> None:
    """Runs here and one in the paper with the same truth, spread over seeds and sampling error of one point."""
    drawn = np.random.default_rng([runs, int(spread)])
    hits = 0
    for _ in range(2000):
        here = drawn.normal(0, math.hypot(spread, 1), runs)
        there = drawn.normal(0, math.hypot(spread, 1))
        hits += abs(here.mean() - there) <= verdicts.half_width(runs, 1.0, here.var(ddof=1), 1.0, 1, 0.9)
    assert hits / 2000 >= 0.885


def test_sampling_noise_is_not_taken_off_the_spread_over_seeds(folder: Path) -> None:
    """Of token counts and Pass@k it is only known to be at most so large."""
    lines = [
        ("grpo", "toy-tier2", "tokens", None, 35.0, 1, None, ""),
        ("grpo", "toy-tier2", "pass", 4, 50.0, 1, None, ""),
    ]
    for _, line in judged(folder, lines).iterrows():
        assert line["sampling_se"] > 0
        margin = stats.t.ppf(0.95, 2) * line["seed_spread"] * math.sqrt(1 / 3 + 1)
        assert line["difference_high"] - line["difference"] == pytest.approx(margin)


def test_one_training_seed_decides_nothing_about_a_method(tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo"], (0,))
    lines = [
        ("grpo", "toy-tier1", "avg", SAMPLES, 0.0, 1, 0.1, ""),
        ("base", "toy-tier1", "avg", SAMPLES, 0.0, 1, 0.1, ""),
    ]
    trained, base = judged(tmp_path, lines).to_dict("records")
    assert (trained["verdict"], trained["reason"]) == ("not measured", "one training seed tells nothing of other runs")
    assert trained["obtained"] > 0
    assert base["verdict"] == "higher"


def test_a_trained_method_is_recomputed_by_hand(folder: Path) -> None:
    shares = averages(folder, "grpo", "toy-tier2") / 100
    line = judged(folder, [("grpo", "toy-tier2", "avg", SAMPLES, 60.0, 1, 1.0, "")]).iloc[0]
    runs = 100 * shares.mean(1)
    noise = 100 * math.sqrt(np.mean(shares * (1 - shares)) / (SAMPLES - 1) / 40)
    z, t = stats.norm.ppf(0.95), stats.t.ppf(0.95, 2)
    margin = math.sqrt(z**2 * 1.0 + t**2 * runs.var(ddof=1) * (1 / 3 + 1))
    assert line["obtained"] == pytest.approx(runs.mean())
    assert line["difference"] == pytest.approx(runs.mean() - 60)
    assert line["difference_high"] - line["difference"] == pytest.approx(margin)
    assert line["sampling_se"] == pytest.approx(noise / math.sqrt(3))
    assert line["seed_spread"] == pytest.approx(runs.std(ddof=1))
    assert line["error"] == "sampling, training seeds, printed number"
    assert line["files"].split() == [f"eval/grpo/seed{seed}/scores.parquet" for seed in range(3)]
    assert math.isnan(line["train_seconds"])


def test_the_cost_of_training_is_that_of_all_steps(folder: Path, tmp_path: Path) -> None:
    """Not of the last part of a run that was stopped and resumed, which is what its run.json knows."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for run in tmp_path.glob("results/synthetic/runs/grpo/seed*"):
        (run / "timing.jsonl").write_text(
            '{"step": 1, "seconds_sample": 3.0, "seconds_update": 4.0}\n', encoding="utf-8"
        )
    line = judged(tmp_path, [("grpo", "toy-tier2", "avg", SAMPLES, 60.0, 1, 1.0, "")]).iloc[0]
    assert (line["train_seconds"], line["train_gpu_hours"]) == (21.0, 0.0)


def test_a_model_that_is_not_trained_is_recomputed_by_hand(folder: Path) -> None:
    shares = averages(folder, "base", "toy-tier1", seeds=1)[0] / 100
    line = judged(folder, [("base", "toy-tier1", "avg", SAMPLES, 50.0, 1, 0.5, "")]).iloc[0]
    noise = 100 * math.sqrt(np.sum(shares * (1 - shares) / (SAMPLES - 1))) / 40
    margin = stats.norm.ppf(0.95) * math.hypot(noise, 0.5)
    found = (line["difference_low"], line["difference_high"])
    assert found == pytest.approx((100 * shares.mean() - 50 - margin, 100 * shares.mean() - 50 + margin))
    assert (line["error"], line["seeds"]) == ("sampling, printed number", "")


def test_every_verdict_is_reached(folder: Path) -> None:
    value = averages(folder, "base", "toy-tier1", seeds=1).mean()
    scores = pd.read_parquet(folder / "results/synthetic/eval/base/seed0/scores.parquet")
    tokens = scores.query("benchmark == 'toy-tier1'")["tokens"].mean()
    lines = [
        ("base", "toy-tier1", "avg", SAMPLES, value - 20, 1, 0.1, ""),
        ("base", "toy-tier1", "avg", SAMPLES, value + 20, 1, 0.1, ""),
        ("base", "toy-tier1", "avg", SAMPLES, value, 1, 3.0, ""),
        ("base", "mean", "avg", None, 0.0, 1, 0.1, "the mean of the 3 printed averages is 1.00"),
        ("nlr", "toy-tier1", "avg", SAMPLES, value, 1, 0.1, ""),
        ("eapo", "toy-tier1", "avg", SAMPLES, value, 1, 0.1, ""),
        ("base", "mmlu-pro/law", "accuracy", None, value, 1, 0.1, ""),
        ("base", "toy-tier1", "pass", 32, value, 1, 0.1, ""),
        ("base", "toy-tier1", "tokens", None, tokens, 1, None, ""),
    ]
    table = judged(folder, lines)
    assert table["verdict"].tolist() == [
        *("higher", "lower", "consistent", "invalid", "invalid"),
        *("not measured", "not measured", "not measured", "reproduced"),
    ]
    assert table["reason"].tolist()[3:8] == [
        "as printed it contradicts itself: the mean of the 3 printed averages is 1.00",
        "seed 1: the loss was not finite at step 29",
        "the study has no row eapo",
        "the study does not evaluate mmlu-pro/law",
        "8 responses per question allow no Pass@32",
    ]
    assert table.loc[3, "obtained"] > 0


def test_what_a_consistent_cell_takes_decides_it(folder: Path) -> None:
    value = averages(folder, "grpo", "toy-tier1").mean()
    there = judged(folder, [("grpo", "toy-tier1", "avg", SAMPLES, value, 1, 0.2, "")]).iloc[0]
    apart = 0.9 * there["difference_high"]
    assert apart > 3
    line = judged(folder, [("grpo", "toy-tier1", "avg", SAMPLES, value - apart, 1, 0.2, "")]).iloc[0]
    assert line["verdict"] == "consistent"
    runs = averages(folder, "grpo", "toy-tier1").mean(1)
    noise = line["sampling_se"] * math.sqrt(3)
    spread = runs.var(ddof=1)
    needed = line["seeds_needed"]
    widths = [verdicts.half_width(int(n), noise, spread, 0.2, 1, 0.9) for n in (needed - 1, needed)]
    assert widths[1] <= apart < widths[0]


def test_a_printed_number_too_uncertain_cannot_be_decided(folder: Path) -> None:
    value = averages(folder, "base", "toy-tier1", seeds=1).mean()
    line = judged(folder, [("base", "toy-tier1", "avg", SAMPLES, value, 1, 3.0, "")]).iloc[0]
    assert line["samples_needed"] == math.inf
    store = Store(load_study(folder / "config", "synthetic"), folder / "results")
    shown = verdicts.wide(verdicts.records(store), store)
    assert shown.rows[0][1][-1].notes == (verdicts.TOO_UNSURE, "no k or seeds would decide it")
    assert shown.notes[1] == f"1 of them no result could reproduce: {verdicts.TOO_UNSURE}."


def test_a_missing_file_is_a_line_and_not_fewer_seeds(folder: Path, tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo"], (0, 1))
    (tmp_path / "results/synthetic/eval/grpo/seed1/scores.parquet").unlink()
    line = judged(tmp_path, [("grpo", "toy-tier1", "avg", SAMPLES, 70.0, 1, 0.5, "")]).iloc[0]
    assert line["verdict"] == "not measured"
    assert line["reason"] == "eval/grpo/seed1/scores.parquet is not there (1 of 2 files)"
    assert math.isnan(line["obtained"])


def test_the_table_is_made_with_its_provenance(folder: Path, tmp_path: Path) -> None:
    judged(folder, [("base", "toy-tier1", "avg", SAMPLES, 50.0, 1, 0.5, "a & b_c")])
    store = Store(load_study(folder / "config", "synthetic"), folder / "results")
    assert planned(store.study)["tables"] == ["table1", "table3", "verdicts", "diagnostics"]
    made = tables.make(store, "verdicts", tmp_path)
    assert tables.read(made[0])["reason"].iloc[0] == "as printed it contradicts itself: a & b_c"
    assert r"a \& b\_c" in made[1].read_text()
    assert r"\begin{longtable}" in made[1].read_text()
    there = {path for path in inputs(store.study, "table", "verdicts") if (store.results / path).is_file()}
    assert files.read_json(made[2])["files"].keys() == there
    assert "synthetic/runs/grpo/seed0/run.json" in there


def test_curves_of_training_are_held_against_figure_2(tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo"], (0, 1))
    write_targets(tmp_path / "config", [], file="figure2")
    lines = [
        ("solve_rate_percent", 20, 50.0),
        ("entropy_nats", 20, 0.2),
        ("avg_percent", 20, 50.0),
        ("entropy_nats", 99, 0.2),
    ]
    table = pd.DataFrame(lines, columns=["panel", "step", "value"])
    table.assign(figure="figure2", method="grpo", questions=10, samples=8, runs=2, se=0.5).to_csv(
        tmp_path / "config/targets/figure2.csv", index=False
    )
    store = Store(load_study(tmp_path / "config", "synthetic"), tmp_path / "results")
    found = verdicts.records(store).set_index(["metric", "step"])
    metrics = store.metrics("grpo")
    around = metrics[metrics["step"].between(18, 22)]
    assert found.loc[("solve_rate", 20), "obtained"] == pytest.approx(100 * around["solve_rate"].mean())
    assert found.loc[("entropy", 20), "obtained"] == pytest.approx(around["entropy"].mean())
    assert found.loc[("entropy", 20), "error"] == "training seeds, printed number"
    runs = [f"runs/grpo/seed{seed}/{name}" for seed in range(2) for name in ("run.json", "metrics.jsonl")]
    assert found.loc[("entropy", 20), "files"].split() == runs
    assert found.loc[("entropy", 99), "reason"] == "training has no step 99"
    assert "curve of training is 10 questions of toy-tier2" in found.loc[("avg", 20), "reason"]
    assert STEPS < 99


def test_a_step_that_learned_nothing_is_not_measured(tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo"], (0, 1))
    write_targets(tmp_path / "config", [], file="figure2")
    table = pd.DataFrame({"panel": "entropy_nats", "step": [20, 25, STEPS], "value": 0.2})
    table.assign(figure="figure2", method="grpo", questions=10, samples=8, runs=2, se=0.5).to_csv(
        tmp_path / "config/targets/figure2.csv", index=False
    )
    lose_entropy(tmp_path, "grpo", seed=1, step=18)
    found = verdicts.records(Store(load_study(tmp_path / "config", "synthetic"), tmp_path / "results"))
    assert found["obtained"].isna().tolist() == [True, False, False]
    assert found["reason"][0] == "a step around step 20 learned nothing and has no entropy"


# ---------------------------------------------------------------- the project's own targets


@pytest.mark.parametrize(("name", "least"), [("tables", 300), ("figure2", 100), ("figure5", 100), ("gsm8k", 5)])
def test_printed_errors_are_those_of_the_formula(name: str, least: int) -> None:
    table = pd.read_csv(TARGETS / f"{name}.csv")
    value = table["pass_percent" if name == "figure5" else "value"]
    percent = table["se"].notna() & table["questions"].notna()
    assert percent.sum() >= least
    for index, line in table[percent].iterrows():
        quantity = line.get("metric", line.get("panel", "pass"))
        single = quantity in ("avg", "accuracy", "avg_percent")
        k = 1 if single else line["samples"] if name == "figure2" else line["k"]
        reading = ROUNDING if "table" in table else 0.1
        expected = implied_se(value[index], line["questions"], line["samples"], line["runs"], k, reading)
        assert line["se"] == pytest.approx(expected, abs=6e-4)


def test_figure_3_prints_the_averages_of_table_2_again() -> None:
    figure, tables = (pd.read_csv(TARGETS / f"{name}.csv") for name in ("figure3", "tables"))
    printed_here = figure[figure["metric"] == "avg"].set_index("method")
    there = tables[(tables["table"] == "table2") & (tables["metric"] == "avg") & (tables["benchmark"] == "aime24")]
    columns = ["benchmark", "k", "value", "questions", "samples", "runs", "se"]
    same = there.set_index("method").loc[printed_here.index, columns]
    pd.testing.assert_frame_equal(printed_here[columns], same, check_dtype=False)
    lengths = figure[figure["metric"] == "tokens"]
    assert sorted(lengths["method"]) == sorted(printed_here.index)
    assert lengths["se"].isna().all()


def test_the_error_is_a_bound_and_tight_for_like_questions() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.binomial(32, 0.4, size=(4000, 30)) / 32
    assert 100 * drawn.mean(1).std() == pytest.approx(implied_se(40, 30, 32, 1), rel=0.05)
    ability = rng.beta(0.4, 0.6, 30)
    drawn = rng.binomial(32, ability, size=(4000, 30)) / 32
    assert 100 * drawn.mean(1).std() < implied_se(100 * ability.mean(), 30, 32, 1)
    passed = drawn > 0
    assert 100 * passed.mean(1).std() < implied_se(100 * passed.mean(), 30, 32, 1, k=32)


def test_every_printed_number_has_a_study() -> None:
    config = Config(ROOT / "config")
    count = sum(
        len(printed(Store(config.study(name), Path("none"))))
        for name in config.study_names
        if config.study(name).targets
    )
    assert (
        count
        == sum(
            len(pd.read_csv(TARGETS / f"{name}.csv")) for name in ("tables", "figure2", "figure3", "figure5", "gsm8k")
        )
        == 753
    )


def test_printed_numbers_that_no_result_could_reproduce_are_those_of_the_readme() -> None:
    config = Config(ROOT / "config")
    stores = [Store(config.study(name), Path("none")) for name in config.study_names]
    count = sum(
        verdicts._too_unsure(line["printed_se"], verdicts._tolerance(store, line), config.targets.confidence)
        for store in stores
        if store.study.targets
        for _, line in printed(store).fillna({"printed_se": 0.0}).iterrows()
    )
    assert f"Of the 753 numbers {count} have" in (TARGETS / "README.md").read_text()


def test_slips_are_the_means_that_their_row_does_not_give() -> None:
    table = pd.read_csv(TARGETS / "tables.csv")
    for key, rows in table[table["metric"] == "avg"].groupby(["table", "method"]):
        mean, parts = rows[rows["benchmark"] == "mean"], rows[rows["benchmark"] != "mean"]
        if len(mean):
            off = abs(mean["value"].iloc[0] - parts["value"].mean())
            assert mean["slip"].notna().iloc[0] == (off > 0.1), key
            assert mean["se"].iloc[0] == pytest.approx(math.sqrt((parts["se"] ** 2).sum()) / len(parts), abs=1e-3)
    assert table["slip"].notna().sum() == 2


def test_mmlu_pro_counts_give_the_printed_overall() -> None:
    table = pd.read_csv(TARGETS / "tables.csv").query("table == 'table10'")
    for _, rows in table.groupby("method"):
        whole, parts = rows[rows["benchmark"].str.endswith("overall")], rows[~rows["benchmark"].str.endswith("overall")]
        assert parts["questions"].sum() == whole["questions"].iloc[0]
        assert np.average(parts["value"], weights=parts["questions"]) == pytest.approx(whole["value"].iloc[0], abs=0.1)


def test_a_tolerance_that_is_missing_is_refused(tmp_path: Path) -> None:
    make_study(tmp_path, ["grpo"], (0,))
    write_targets(tmp_path / "config", [])
    path = tmp_path / "config" / "targets.yaml"
    path.write_text(path.read_text().replace("pass_at_k: 6.0", "pass: 6.0"))
    with pytest.raises(UserError, match=r"targets.yaml: tolerances.pass: unknown key; allowed: .*pass_at_k"):
        planned(load_study(tmp_path / "config", "synthetic"))


def test_a_configuration_without_targets_is_held_against_nothing(tmp_path: Path) -> None:
    study = make_study(tmp_path, ["grpo"], (0,))
    assert (study.targets, study.targets_config()) == ({}, {})
    assert "verdicts" not in planned(study)["tables"]
