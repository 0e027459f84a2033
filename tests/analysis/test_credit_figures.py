"""The figures of the measured credit, on states whose truth was planted, and the paper's proxy against plain loops."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_states import DECISIVE, OPEN, PLACES, PROBLEMS, planted, store_of

from tokencredit import files
from tokencredit.analysis.credit import proxy
from tokencredit.analysis.figures import credit, policies
from tokencredit.analysis.store import Store
from tokencredit.oracle.estimate import binary_entropy, exact_information
from tokencredit.study.exhibits import inputs, planned

pytestmark = pytest.mark.slow  # they draw

STATES = PROBLEMS * 3 * PLACES
BOTH = ("base", "eapo")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two policies under two seeds; training left EAPO without credit."""
    folder = tmp_path_factory.mktemp("policies")
    made = store_of(folder, *planted(), policies=BOTH, seeds=(0, 1))
    for seed in (0, 1):
        path = made.paths.own.joinpath("oracle", "eapo", f"seed{seed}", "branches.parquet")
        branches = files.read_parquet(path)
        tried = branches["right"] + branches["wrong"]
        files.write_parquet(path, branches.assign(right=tried // 2, wrong=tried - tried // 2))
    return made


def drawn_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_figures_follow_the_policies_that_are_measured(both: Store, tmp_path: Path) -> None:
    assert {"credit", "policies"} <= set(planned(both.study)["figures"])
    read = inputs(both.study, "figure", "policies")
    assert [path for path in read if "/runs/" not in path] == inputs(both.study, "table", "oracle")
    assert {path.split("/")[-1] for path in read if "/runs/" in path} == {"run.json"}
    assert {path.split("/")[2] for path in inputs(both.study, "figure", "policies")} == set(BOTH)
    assert {path.split("/")[2] for path in inputs(both.study, "figure", "credit")} == {"base"}
    alone = store_of(tmp_path, *planted())
    assert {"credit", "policies"} & set(planned(alone.study)["figures"]) == {"credit"}


# ---------------------------------------------------------------- credit


def test_credit_of_the_first_policy_by_group_and_bin(both: Store) -> None:
    drawn = credit.draw(both)
    table = drawn.table
    exact = 0.3 * exact_information(OPEN, DECISIVE)
    assert table.set_index("part").loc["all", "information"] == pytest.approx(exact, abs=0.005)
    bins = table[table["part"] == "bin"]
    assert bins["states"].sum() == 2 * STATES
    assert bins["information"].iloc[0] == 0  # the places where one token holds the mass
    assert bins["information"].iloc[-1] == pytest.approx(exact, abs=0.005)
    assert bins["information_low"].iloc[-1] < exact < bins["information_high"].iloc[-1]
    # Responses that are right and those that are not have the same entropies here: neither the proxy nor chance sees anything.
    assert bins[["proxy", "chance"]].max(axis=None) == pytest.approx(0, abs=1e-12)
    assert f"n = {2 * STATES:,} states of {2 * 3 * PROBLEMS} responses to {PROBLEMS} problems" in drawn.note
    assert {"strategy\nfork", "(e) The paper's proxy"} <= set(drawn_texts(drawn.figure))


def test_models_without_kinds_of_tokens_have_a_panel_less(both: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokencredit.analysis.credit.states.EmbeddedModel", type("Other", (), {}))
    texts = drawn_texts(credit.draw(both).figure)
    assert "(d) The paper's proxy" in texts
    assert not any("fork" in text for text in texts)
    assert "PHR: right, high entropy" in drawn_texts(policies.draw(both).figure)


# ---------------------------------------------------------------- proxy


def noisy(follows: float, seed: int = 0) -> pd.DataFrame:
    """40 problems with 8 responses of 20 tokens, whose entropy is higher by ``follows`` in right ones; all have the same information."""
    rng = np.random.default_rng(seed)
    keys = product(range(40), range(8), range(20))
    found = pd.DataFrame(keys, columns=["problem_id", "sample", "position"]).assign(seed=0, cell="grpo")
    found["reward"] = np.where(found["sample"] % 2, 1.0, -1.0)
    found["entropy"] = rng.exponential(0.5, len(found)) + follows * (found["reward"] > 0)
    return found.assign(information=0.02)


def test_contributions_are_those_of_plain_loops() -> None:
    counts = np.random.default_rng(0).integers(0, 5, (3, 7, 2))
    found = proxy.contributions(counts)
    for which, joint in enumerate(counts):
        total = joint.sum()
        for place, (wrong, right) in enumerate(joint):
            expected = 0.0
            for reward, seen in enumerate((wrong, right)):
                if seen:
                    apart = (wrong + right) * joint[:, reward].sum() / total**2
                    expected += seen / total * math.log(seen / total / apart)
            assert found[which, place] == pytest.approx(max(0, expected), abs=1e-12)


def test_the_proxy_of_nothing_is_what_chance_gives_and_not_zero() -> None:
    found = pd.DataFrame([credit.proxy_by_bin(noisy(follows=0, seed=seed)).iloc[-1] for seed in range(20)])
    assert found["chance"].mean() == pytest.approx((proxy.BINS - 1) / (2 * 6400), rel=0.25)
    assert found["proxy"].mean() == pytest.approx(found["chance"].mean(), rel=0.1)
    assert 0.3 < found["as_large"].mean() < 0.7
    assert found["information"].tolist() == pytest.approx([0.02] * 20)


def test_the_proxy_sees_entropy_that_follows_the_reward_though_no_token_has_more_credit() -> None:
    end = credit.proxy_by_bin(noisy(follows=0.3)).iloc[-1]
    assert end["as_large"] == 0
    assert end["proxy_low"] > 5 * end["chance_high"]
    assert end["information"] == pytest.approx(0.02)
    assert end["information_high"] == pytest.approx(0.02)


# ---------------------------------------------------------------- policies


def test_policies_side_by_side(both: Store) -> None:
    drawn = policies.draw(both)
    table = drawn.table.set_index(["policy", "quantity", "seed"])["value"]
    exact = exact_information(OPEN, DECISIVE)
    assert table["base", "value", ""] == pytest.approx(0.55, abs=0.02)
    assert table["eapo", "value", ""] == pytest.approx(0.5)
    assert table["base", "entropy", ""] == pytest.approx((np.log(2) + 0.008) / 2)
    assert table["base", "information", ""] == pytest.approx(3 * exact, abs=0.03)  # places 0, 4 and 8
    assert table["eapo", "information", ""] == pytest.approx(0, abs=0.03)
    assert table["base", "ratio", ""] == pytest.approx(0.6 * exact / (np.log(2) + 0.008), abs=0.01)
    assert set(drawn.table["seed"]) == {"", "0", "1"}
    assert table["base", "value", "0"] == table["base", "value", "1"] == pytest.approx(table["base", "value", ""])
    shares = drawn.table[drawn.table["quantity"] == "share"].groupby("policy")["value"].sum()
    assert shares["base"] == pytest.approx(1)
    assert f"EAPO {2 * 3 * PROBLEMS} responses to {PROBLEMS} problems ({2 * STATES} states" in drawn.note


def test_the_credit_of_a_response_adds_up_to_the_entropy_of_the_reward(tmp_path: Path) -> None:
    """Two tokens, right if both are the first of two: h(1/4) = I at the start + half of I after a right first token."""
    trials, states, branches = 400, [], []
    for problem, (first, second) in product(range(6), product((0, 1), (0, 1))):
        for place, (taken, right) in enumerate(
            ((first, (trials // 2, 0)), (second, (trials, 0) if first == 0 else (0, 0)))
        ):
            key = (f"toy-train-{problem}", "grpo", 2 * first + second, place)
            reward = 1.0 if first == second == 0 else -1.0
            states.append((*key, 5 + taken, "x", np.log(2), -0.7, 1.0, reward, 0 if reward > 0 else 2))
            branches += [(*key, 5 + token, 0.5, right[token], trials - right[token], 0) for token in (0, 1)]
    tables = [
        pd.DataFrame(rows, columns=table.columns) for rows, table in zip((states, branches), planted(), strict=True)
    ]
    drawn = policies.draw(store_of(tmp_path, *tables, policies=BOTH))
    table = drawn.table.set_index(["policy", "quantity"])["value"]
    assert table["base", "possible"] == pytest.approx(binary_entropy(0.25))
    assert table["base", "information"] == pytest.approx(binary_entropy(0.25), abs=0.01)
    assert table["base", "found"] == pytest.approx(1, abs=0.02)
    assert "Base model 100 %" in drawn.note
