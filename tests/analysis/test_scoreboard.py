"""What the scoreboard says of weights whose agreement with the credit was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from weighed_study import TRIALS, Weigh, planted, weighed_study

from tokencredit.analysis import tables
from tokencredit.analysis.credit import learning, scoreboard
from tokencredit.analysis.credit.agreement import Credit, agreement
from tokencredit.analysis.credit.reference import Yardstick, unit_ranks, yardstick
from tokencredit.analysis.figures import scoreboard as figure
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import inputs, planned
from tokencredit.study.measurements import measured_rows

pytestmark = pytest.mark.slow  # tables over whole synthetic studies


def alike(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    return {"advantage": table["group_advantage"]}


def by_size(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    return {"advantage": table["group_advantage"] * np.abs(credit)}


def signed(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    """What a critic that knows the credit gives."""
    return {"advantage": credit}


def at_random(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    return {"advantage": table["group_advantage"] * np.random.default_rng(3).random(len(table))}


def half_of_them(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    """The size of the credit in right responses, no weight on any token of the others."""
    return by_size(table, credit) | {"keep": table["reward"] > 0}


def where_none(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    return alike(table, credit) | {"keep": credit == 0}


def with_another_response(table: pd.DataFrame, credit: np.ndarray) -> dict[str, np.ndarray]:
    other = (table["problem_id"] == "toy-train-0") & (table["sample"] == 0)
    return by_size(table, credit) | {"token_id": table["token_id"].where(~other, 5)}


METHODS: dict[str, Weigh] = {
    "grpo": alike,
    "dapo": by_size,
    "eapo": signed,
    "hapo": at_random,
    "phr": half_of_them,
    "plr": where_none,
    "nhr": with_another_response,
}


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return weighed_study(tmp_path_factory.mktemp("weighed"), METHODS)


@pytest.fixture(scope="module")
def board(weighed: Store) -> pd.DataFrame:
    return scoreboard.records(weighed).set_index(["method", "metric"])


def test_only_a_study_that_measures_the_base_has_a_scoreboard(weighed: Store) -> None:
    study, keys = weighed.study, weighed.study.file
    without, trained_only = (
        Study(study.name, keys.model_copy(update={"oracle": oracle}), study.config)
        for oracle in (None, keys.oracle.model_copy(update={"policies": ["grpo"]}))
    )
    for kind in ("tables", "figures"):
        assert "scoreboard" in planned(weighed.study)[kind]
        assert "scoreboard" not in planned(without)[kind]
        assert "scoreboard" not in planned(trained_only)[kind]
    needed = inputs(weighed.study, "table", "scoreboard")
    assert {f"synthetic/oracle/base/seed0/{name}.parquet" for name in ("states", "branches")} <= set(needed)
    for method in METHODS:
        assert f"synthetic/runs/{method}/seed0/rollouts.parquet" in needed
        assert f"synthetic/eval/{method}/seed0/scores.parquet" in needed


def test_weights_that_are_the_credit_agree_wholly(board: pd.DataFrame) -> None:
    """But for the chance agreement with a measurement of nothing, which is subtracted."""
    for method in ("dapo", "oracle"):
        assert board.loc[(method, "rho"), ["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1], abs=0.05)
        assert board.loc[(method, "nothing"), "value"] == 0
    assert board.loc[("eapo", "rho"), "value"] == board.loc[("dapo", "rho"), "value"]
    assert board.loc[("eapo", "signed"), "value"] == pytest.approx(1, abs=0.05)
    assert board.loc[("eapo", "direction"), "value"] == 1
    assert board.loc[("grpo", "signed"), "value"] < 0.5
    assert 0.3 < board.loc[("grpo", "direction"), "value"] < 0.7


def test_the_auc_is_that_of_a_unit_of_credit(board: pd.DataFrame, weighed: Store) -> None:
    """Of weights over the mean of their response: against each token alone the share of all that weigh less, averaged by credit."""
    tokens = yard_of(weighed).tokens
    size = tokens["advantage"].abs()
    weight = (size / size.groupby(tokens["response"]).transform("mean")).to_numpy().round(9)
    below = [stats.percentileofscore(weight, each, kind="mean") / 100 for each in weight]
    exact = np.average(below, weights=size**2)
    assert 0.7 < exact < 0.95
    for method in ("dapo", "oracle"):
        assert board.loc[(method, "auc"), "value"] == pytest.approx(exact, abs=1e-6)


def test_equal_weights_agree_with_nothing(board: pd.DataFrame) -> None:
    for method in ("grpo", "equal"):
        assert board.loc[(method, "rho"), "value"] == 0
        assert board.loc[(method, "rho_unequal"), ["value", "n"]].tolist() == pytest.approx([np.nan, 0], nan_ok=True)
        assert board.loc[(method, "auc"), "value"] == pytest.approx(0.5)
        assert board.loc[(method, "lift"), "value"] == pytest.approx(1)
        # A third of all tokens was possible alone.
        assert board.loc[(method, "nothing"), "value"] == pytest.approx(1 / 3, abs=0.01)
    assert scoreboard.equal_weights(board.reset_index()) == ["GRPO"]


def test_weights_dealt_anew_agree_with_nothing(board: pd.DataFrame) -> None:
    assert board.loc[("dapo", "rho_shuffled"), "value"] == pytest.approx(0, abs=0.03)
    for method in ("hapo", "random"):
        low, high = board.loc[(method, "rho"), ["low", "high"]]
        assert low < 0.05
        assert high > -0.05
        assert high - low < 0.3


def test_a_masked_response_has_no_agreement(board: pd.DataFrame) -> None:
    whole, half = board.loc[("phr", "rho")], board.loc[("phr", "rho_unequal")]
    assert half["value"] == pytest.approx(1, abs=0.05)
    assert 0 < half["n"] < whole["n"] == 48
    assert whole["value"] == pytest.approx(half["value"] * half["n"] / whole["n"])
    assert board.loc[("plr", "rho"), "value"] < -0.3
    assert board.loc[("plr", "nothing"), "value"] == 1
    assert board.loc[("plr", "lift"), "value"] == 0


def test_a_response_that_was_not_measured_is_left_out_and_counted(board: pd.DataFrame, weighed: Store) -> None:
    line = board.loc[("nhr", "rho")]
    assert (line["n"], line["left_out"], line["value"]) == (47, 1, pytest.approx(1, abs=0.05))
    assert board.loc[("dapo", "rho"), "left_out"] == 0
    assert any("left out: 1 responses" in note for note in scoreboard.notes(board.reset_index(), weighed))


def test_a_run_of_which_nothing_was_measured_is_refused(tmp_path: Path) -> None:
    other = weighed_study(tmp_path, {"grpo": alike, "eapo": lambda table, credit: {"token_id": table["token_id"] + 1}})
    with pytest.raises(UserError, match=r"runs/eapo: none of its 48 responses of the first step is among the 48"):
        scoreboard.records(other)


def test_the_score_is_that_of_the_results_tables(board: pd.DataFrame, weighed: Store) -> None:
    from tokencredit.analysis.scores import table1

    printed = table1(weighed).query("benchmark == 'mean'").set_index("method")
    for method in METHODS:
        ours = board.loc[(method, "score"), ["value", "low", "high"]].tolist()
        assert ours == pytest.approx(printed.loc[method, ["avg", "avg_low", "avg_high"]].tolist())


# ---------------------------------------------------------------- noise


def noisy(folder: Path, effect: float, value: float = 0.4) -> tuple[Store, np.ndarray]:
    """Credit at a tenth of the tokens around V = ``value``, whatever their entropy, seen through few continuations; and its true square."""
    store = weighed_study(folder, {"grpo": alike})
    path = store.paths.own.joinpath("oracle", "base", "seed0", "branches.parquet")
    branches = pd.read_parquet(path)
    rng = np.random.default_rng(5)
    key = ["problem_id", "cell", "sample", "position"]
    state = branches.groupby(key).ngroup()
    has = (rng.random(state.max() + 1) < 0.1)[state]
    several = branches["probability"] < 1
    chance = value + effect * has * np.where(branches["token_id"] == 7, 1, -1)
    # As an unlikely token is continued less often than what else is there.
    trials = np.where(several, TRIALS * np.where(branches["token_id"] == 7, 1, 4), 0)
    branches["right"] = rng.binomial(trials, chance)
    branches["wrong"] = trials - branches["right"]
    branches.to_parquet(path)
    taken = branches[branches["token_id"] == 7].assign(true=(2 * effect * has * (1 - branches["probability"])) ** 2)
    return store, taken.sort_values(key)["true"].to_numpy()


def yard_of(store: Store) -> Yardstick:
    return yardstick(store, measured_rows(store.study))


@pytest.mark.parametrize("value", [0.4, 0.03, 0.97])
def test_noise_makes_no_agreement(tmp_path: Path, value: float) -> None:
    """Weights that follow how much is left to chance agree with the size of a measured Q - V of nothing, and not by this yardstick.

    Near 0 and 1 the noise is skewed: even a product of two measurements is then above zero more often than below.
    """
    yard = yard_of(noisy(tmp_path, effect=0, value=value)[0])
    tokens = yard.tokens
    spread = 1 - planted(len(tokens))[0][:, None]
    # As if right responses had the open tokens where V is high, and wrong ones where it is low.
    found = agreement(yard, Credit(np.arange(len(tokens)), spread * np.sign(value - 0.5))).set_index("metric")

    def by_ranks(measured: np.ndarray) -> float:
        ranks = unit_ranks(spread, tokens["response"]) * unit_ranks(measured, tokens["response"])
        return ranks.mean(1).sum() / tokens["response"].nunique()

    assert by_ranks(tokens[["advantage"]].abs().to_numpy()) > 0.5
    if value != 0.4:
        assert by_ranks(yard.targets["credit"].value) > 0.05
    for measure in ("rho", "rho_information", "signed"):
        assert abs(found.loc[measure, "value"]) < 0.03
        assert found.loc[measure, "low"] - 0.01 < 0 < found.loc[measure, "high"] + 0.01


def test_shuffling_outcomes_leaves_the_value_and_takes_the_credit(tmp_path: Path) -> None:
    yard = yard_of(noisy(tmp_path, effect=0.4)[0])
    credit = yard.targets["credit"].value.mean()
    nothing = yard.signed_nothing
    assert credit > 0.005
    assert abs(np.mean(nothing)) < 0.002
    # What is left is noise, of the size of the noise in the measured differences and less than their credit.
    assert 0 < np.mean(nothing**2) < np.mean(yard.signed**2) - credit / 2


def test_lift_and_auc_have_no_bias_from_noise(tmp_path: Path) -> None:
    store, true = noisy(tmp_path, effect=0.3)
    yard = yard_of(store)
    weight = (true > 0) + 0.2
    relative = weight / pd.Series(weight).groupby(yard.tokens["response"]).transform("mean").to_numpy()
    exact = (relative @ true / relative.sum()) / true.mean()
    found = agreement(yard, Credit(np.arange(len(true)), weight[:, None])).set_index("metric")
    assert exact > 2
    assert found.loc["lift", "value"] == pytest.approx(exact, rel=0.1)
    placed = (stats.rankdata(relative.round(9)) - 0.5) / len(true)
    assert found.loc["auc", "value"] == pytest.approx(np.average(placed, weights=true), abs=0.02)
    # Noise hides agreement by ranks, so that even the truth agrees in part only.
    known = agreement(yard, Credit(np.arange(len(true)), np.sqrt(true)[:, None])).set_index("metric")
    assert 0 < known.loc["rho", "value"] < 0.8


def test_a_token_with_too_few_continuations_is_left_out(tmp_path: Path) -> None:
    store = weighed_study(tmp_path, {"grpo": alike})
    path = store.paths.own.joinpath("oracle", "base", "seed0", "branches.parquet")
    branches = pd.read_parquet(path)
    several = branches.index[branches["probability"] < 1]
    branches.loc[several[0], ["right", "wrong", "ungraded"]] = [1, 1, TRIALS - 2]
    branches.to_parquet(path)
    yard = yard_of(store)
    assert yard.refused == 1
    assert len(yard.tokens) == branches["token_id"].eq(7).sum() - 1


# ---------------------------------------------------------------- agreement and score


def methods_with(scores: np.ndarray) -> pd.DataFrame:
    lines = [
        {"method": f"m{index}", "metric": measure, "value": value, "invalid": ""}
        for index, score in enumerate(scores)
        for measure, value in [*((name, index) for name in learning.ASKED), ("score", score)]
    ]
    return pd.DataFrame(lines)


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        (np.arange(10.0), "shown"),
        (-np.arange(10.0), "contradicted"),
        (np.array([3.0, 8, 1, 9, 0, 5, 7, 2, 6, 4]), "not resolved"),
        (np.arange(7.0), "not measured"),
        (np.ones(10), "not measured"),
    ],
)
def test_the_answer_follows_from_the_numbers(scores: np.ndarray, outcome: str) -> None:
    found = learning.over_methods(methods_with(scores)).set_index("metric")
    assert set(found["outcome"]) == {outcome}
    assert set(found["n"]) == {len(scores)}
    sentence = learning.in_words(found.reset_index().assign(part="answer"))[0]
    assert outcome in sentence.lower()
    assert not any(other in sentence for other in {"shown", "contradicted", "not resolved"} - {outcome})


def test_an_invalid_run_is_not_in_the_answer() -> None:
    table = methods_with(np.arange(10.0))
    table.loc[table["method"] == "m3", "invalid"] = "seed 0: the loss was not finite"
    assert set(learning.over_methods(table)["n"]) == {9}


def test_the_correlation_is_spearmans_with_a_p_that_holds_its_level() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12))
    found = learning.correlation(x, y)
    assert found["value"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found["p"] == pytest.approx(stats.spearmanr(x, y).pvalue, abs=0.03)
    assert found["low"] < found["value"] < found["high"]


# ---------------------------------------------------------------- shown


def test_the_table_is_written(weighed: Store, tmp_path: Path) -> None:
    tables.make(weighed, "scoreboard", tmp_path)
    wide = tables.wide("scoreboard", tables.read(tmp_path / "scoreboard.csv"), weighed)
    titles = [row.title for row in wide.rows]
    assert titles[: len(scoreboard.PEERS)] == list(scoreboard.PEERS.values())
    assert titles.index("DAPO") < titles.index("PHR") < titles.index("GRPO") < titles.index("PLR")
    assert wide.notes[0].startswith("Does better credit give better learning? Not measured: 7 sound methods")
    assert any("Equal weights in every response, as equal as those of GRPO: GRPO." in note for note in wide.notes)


def test_the_figure_lists_what_weighs_tokens_apart(weighed: Store) -> None:
    drawn = figure.draw(weighed)
    left, right = drawn.figure.axes
    listed = [label.get_text() for label in left.get_yticklabels()]
    assert "GRPO" not in listed
    assert len(listed) == len(METHODS) - 1
    named = {text.get_text() for text in right.texts}
    assert {"GRPO", "DAPO", "PLR"} <= named
    assert set(drawn.table["metric"]) == {"rho", "rho_unequal", "score", "rho_information", "signed", "lift"}


def test_of_many_points_those_that_stand_apart_are_named(weighed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure, "NAMED", 3)
    points = pd.DataFrame({"rho": [0.0, 0.01, 0.3, np.nan], "score": [50.0, 50.5, 20.0, np.nan]})
    assert (figure._apart(points) > figure.APART).tolist() == [False, False, True, True]
    assert (figure._apart(points.assign(rho=0.0)) > figure.APART).tolist() == [False, False, True, True]
    named = {text.get_text() for text in figure.draw(weighed).figure.axes[1].texts}
    assert {"GRPO", "DAPO"} <= named
