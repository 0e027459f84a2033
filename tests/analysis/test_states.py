"""What the analysis says of measured states, on states whose truth was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic_study import make_study

from tokencredit import files
from tokencredit.analysis import tables
from tokencredit.analysis.credit import states as oracle
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.data.embedded_tokenizer import vocabulary
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import exact_information
from tokencredit.study.exhibits import inputs, planned
from tokencredit.study.measurements import measured_rows

pytestmark = pytest.mark.slow  # tables over whole synthetic studies

TRIALS, PROBLEMS, PLACES = 200, 12, 10
# Even places are open, two tokens with half of the probability each; the credit is at every fourth place.
OPEN, SURE = np.array([0.5, 0.5]), np.array([0.999])
DECISIVE, EQUAL = np.array([0.3, 0.8]), np.array([0.5, 0.5])
ENTROPY = {True: np.log(2), False: 0.008}


def planted() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    states, branches = [], []
    for problem in range(PROBLEMS):
        for sample in range(3):
            for place in range(PLACES):
                key = (f"toy-train-{problem}", "grpo", sample, place)
                is_open, decisive = place % 2 == 0, place % 4 == 0
                probability = OPEN if is_open else SURE
                reward = 1.0 if sample else -1.0
                quadrant = 2 * (reward < 0) + (not is_open)
                states.append((*key, 5, "x", ENTROPY[is_open], -0.7, probability.sum(), reward, quadrant))
                share = DECISIVE if decisive else EQUAL
                for token, mass in enumerate(probability):
                    right = rng.binomial(TRIALS, share[token]) if is_open else 0
                    wrong = TRIALS - right if is_open else 0
                    branches.append((*key, 5 + token, mass, right, wrong, 0))
    key = ["problem_id", "cell", "sample", "position"]
    return (
        pd.DataFrame(states, columns=[*key, "token_id", "token", "entropy", "logprob", "tried", "reward", "quadrant"]),
        pd.DataFrame(branches, columns=[*key, "token_id", "probability", "right", "wrong", "ungraded"]),
    )


def store_of(
    folder: Path,
    states: pd.DataFrame,
    branches: pd.DataFrame,
    policies: tuple[str, ...] = ("base",),
    seeds: tuple[int, ...] = (0,),
) -> Store:
    make_study(folder, ["grpo", "eapo"], seeds)
    path = folder / "config/studies/synthetic.yaml"
    content = yaml.safe_load(path.read_text())
    content["oracle"] = {"policies": list(policies), "seed": 0, "continuations": TRIALS}
    path.write_text(yaml.safe_dump(content))
    study = load_study(folder / "config", "synthetic")
    for row in measured_rows(study):
        for name, table in (("states", states), ("branches", branches)):
            files.write_parquet(folder / f"results/synthetic/oracle/{row.path}/{name}.parquet", table)
    return Store(study, folder / "results")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of(tmp_path_factory.mktemp("oracle"), *planted())


def test_a_study_with_an_oracle_has_its_table_and_no_other_has(store: Store, tmp_path: Path) -> None:
    assert "oracle" in planned(store.study)["tables"]
    assert inputs(store.study, "table", "oracle") == [
        f"synthetic/oracle/base/seed0/{name}.parquet" for name in ("states", "branches")
    ]
    assert "oracle" not in planned(make_study(tmp_path, ["grpo"], (0,)))["tables"]


def test_states_have_the_planted_credit(store: Store) -> None:
    found, refused = oracle.states(store, measured_rows(store.study)[0])
    assert (len(found), refused) == (PROBLEMS * 3 * PLACES, 0)
    decisive = found[found["position"] % 4 == 0]
    assert decisive["information"].mean() == pytest.approx(exact_information(OPEN, DECISIVE), abs=0.01)
    assert decisive["advantage"].mean() == pytest.approx(-0.25, abs=0.02)  # of the token taken, the first
    assert decisive["squared"].mean() == pytest.approx(0.25**2, abs=0.005)
    assert decisive["value"].mean() == pytest.approx(0.55, abs=0.02)
    assert found.loc[found["position"] % 4 == 2, "information"].mean() == pytest.approx(0, abs=0.002)
    assert found.loc[found["position"] % 4 == 2, "squared"].mean() == pytest.approx(0, abs=0.0005)
    alone = found[found["position"] % 2 == 1]
    assert (alone[["information", "squared"]] == 0).all(axis=None)
    assert alone["high"].max() < 0.01
    assert alone["advantage"].isna().all()
    assert set(found["kind"]) >= {"style fork", "strategy fork", "routine"}


def test_the_table_says_where_the_credit_sits(store: Store) -> None:
    table = oracle.records(store).set_index(["part", "group"])
    exact = exact_information(OPEN, DECISIVE)
    assert table.loc[("all", "all"), "information"] == pytest.approx(0.3 * exact, abs=0.005)
    assert table.loc[("all", "all"), ["information_low", "information_high"]].between(0.2 * exact, 0.4 * exact).all()
    assert table.loc["decile", "states"].sum() == table.loc[("all", "all"), "states"] == PROBLEMS * 3 * PLACES
    # All of it is at open places: two thirds of it in right responses, as many as there are.
    for name in ("information", "squared"):
        assert table.loc[("quadrant", "phr"), f"share_{name}"] == pytest.approx(2 / 3, abs=0.03)
        assert table.loc[("quadrant", "nhr"), f"share_{name}"] == pytest.approx(1 / 3, abs=0.03)
        assert table.loc[("quadrant", "plr"), f"share_{name}"] == 0
        assert table.loc[("entropy", "above the group's mean"), f"share_{name}"] == pytest.approx(1)
    open_places, mean = table.loc[("entropy", "above the group's mean")], 0.6 * exact
    assert open_places["share_states"] == 0.5
    assert open_places["ratio"] == pytest.approx(mean / np.log(2), abs=0.01)
    assert open_places["ratio_low"] < open_places["ratio"] < open_places["ratio_high"]
    assert open_places["size"] == pytest.approx(0.25 * np.sqrt(0.6), abs=0.01)
    for part in ("decile", "kind", "quadrant"):
        for name in oracle.SUMS:
            assert table.loc[part, f"share_{name}"].sum() == pytest.approx(1)


def test_synonyms_are_one_decision(tmp_path: Path) -> None:
    """Of four connectives and one way to end, two of the one and one of the other were tried; with a tenth of the mass not tried."""
    words = vocabulary("word-problems")
    tokens = [words.index(word) for word in (" Then", " Next", " So")]
    masses = [0.3, 0.2, 0.4]
    states, branches = planted()
    one = branches[branches["probability"] == 0.5].groupby(["problem_id", "cell", "sample", "position"]).head(1)
    branches = pd.concat(
        [one.assign(token_id=token, probability=mass) for token, mass in zip(tokens, masses, strict=True)]
    )
    states = states.merge(one[["problem_id", "cell", "sample", "position"]]).assign(token_id=tokens[0], tried=0.9)
    store = store_of(tmp_path, states, branches)
    found, _ = oracle.states(store, measured_rows(store.study)[0])
    expected = -sum(mass * np.log(mass) for mass in (0.5, 0.4, 0.1))
    assert found["decision"].to_numpy() == pytest.approx(expected)
    line = oracle.groups(found).set_index("part").loc["all"]
    assert line["decision"] == pytest.approx(expected)
    assert line["decision_ratio"] == pytest.approx(line["information"] / expected)


def test_the_table_says_what_was_not_seen(store: Store) -> None:
    everything = oracle.records(store).set_index("part").loc["all"]
    count = PROBLEMS * 3 * PLACES
    assert everything["above"] == 0
    assert everything["above_chance"] == pytest.approx(0.05 * count / 2)
    assert everything["single"] == count / 2
    # At most the entropy of whether another token comes, where nothing but the mass of 0.999 is known.
    added = everything["single_information"] - everything["information"]
    assert added == pytest.approx(-0.5 * (0.001 * np.log(0.001) + 0.999 * np.log(0.999)), rel=1e-6)
    assert everything["untried"] == pytest.approx(0.0005)


@pytest.mark.parametrize("problems", [8, 20])
def test_intervals_over_few_problems_cover_the_truth(problems: int) -> None:
    """Percentiles as they are would cover 0.87 with eight problems."""
    rng = np.random.default_rng(problems)

    def sums(count: int) -> np.ndarray:
        """A ratio's sums of each problem, of which some have twice as much as others."""
        size = rng.poisson(80, count)
        return np.stack([rng.lognormal(0, 0.4, count) * size, size], axis=1)

    def covers(found: np.ndarray) -> bool:
        units = pd.Series(range(problems))
        line = oracle.over_problems(pd.DataFrame(found), units, lambda s: {"x": oracle.over(s[..., 0], s[..., 1])})
        return line["x_low"] < truth < line["x_high"]

    truth = np.exp(0.4**2 / 2)
    assert 0.9 < np.mean([covers(sums(problems)) for _ in range(400)]) < 0.98


def test_one_problem_has_no_interval(tmp_path: Path) -> None:
    kept = [table[table["problem_id"] == "toy-train-0"] for table in planted()]
    everything = oracle.records(store_of(tmp_path, *kept)).set_index("part").loc["all"]
    assert everything["information"] > 0
    assert np.isnan(everything[["information_low", "information_high"]].astype(float)).all()


def test_seeds_of_a_policy_are_one_group_and_its_problems_the_units(tmp_path: Path) -> None:
    made = store_of(tmp_path, *planted(), seeds=(0, 1))
    table = oracle.records(made).set_index("part").loc["all"]
    assert (table["states"], table["problems"], table["seeds"]) == (2 * PROBLEMS * 3 * PLACES, PROBLEMS, "0 1")


def test_states_above_the_bound_are_counted(tmp_path: Path) -> None:
    states, branches = planted()
    states.loc[states["position"] == 0, "entropy"] = 0.01
    table = oracle.records(store_of(tmp_path, states, branches))
    assert table.set_index("part").loc["all", "above"] == PROBLEMS * 3


def test_a_state_without_graded_continuations_is_left_out_and_counted(tmp_path: Path) -> None:
    states, branches = planted()
    branches.loc[0, ["right", "wrong", "ungraded"]] = [1, 0, TRIALS - 1]
    made = store_of(tmp_path, states, branches)
    assert oracle.states(made, measured_rows(made.study)[0])[1] == 1


def test_the_table_is_written(store: Store, tmp_path: Path) -> None:
    tables.make(store, "oracle", tmp_path)
    assert "strategy fork" in (tmp_path / "oracle.tex").read_text()
    table = tables.read(tmp_path / "oracle.csv")
    wide = tables.wide("oracle", table, store)
    assert len(wide.rows) == len(table)
    assert any("0 states have an interval of I that begins above H" in note for note in wide.notes)
    assert any("tokens of high entropy are 50 % and hold 100.0 %" in note for note in wide.notes)


def test_branches_of_other_states_are_refused(tmp_path: Path) -> None:
    states, branches = planted()
    with pytest.raises(UserError, match=r"branches\.parquet: .*states"):
        oracle.records(store_of(tmp_path, states[1:], branches))


def test_a_token_of_a_walk_through_a_graph_is_told_from_its_problem(tmp_path: Path) -> None:
    states, branches = planted()
    walk = ["Yes", ".", " boldly", ":", " Now", " AB", " 3", " makes", " 3", "."]
    study = store_of(tmp_path, states.assign(token=walk * (len(states) // PLACES)), branches).study
    for name, entries in (
        ("datasets", ("toy-train", "toy-tier1", "toy-tier2", "toy-tier3")),
        ("models", ("embedded-1m",)),
    ):
        path = study.config.folder / f"{name}.yaml"
        content = yaml.safe_load(path.read_text())
        for entry in entries:
            content[name][entry]["task"] = "graph-paths"
        path.write_text(yaml.safe_dump(content))
    forked, straight = "Roads: AB 3, AK 9. From A to B?", "Roads: AB 3, BK 9. From A to K?"
    problems = [(f"toy-train-{number}", straight if number else forked) for number in range(PROBLEMS)]
    data = "data/toy-train/problems.parquet"
    files.write_parquet(tmp_path / "results" / data, pd.DataFrame(problems, columns=["problem_id", "problem"]))
    store = Store(load_study(study.config.folder, study.name), tmp_path / "results")
    assert inputs(store.study, "table", "oracle")[-1] == data
    found, _ = oracle.states(store, measured_rows(store.study)[0])
    assert set(found[found["kind"] == "branch"]["problem_id"]) == {"toy-train-0"}
    assert set(found[found["kind"] == "branch"]["token"]) == {" AB"}
    assert list(found["kind"][:PLACES]) == [
        *("style fork", "style fork", "strategy fork", "routine", "style fork"),
        *("branch", "copied number", "routine", "result", "routine"),
    ]
