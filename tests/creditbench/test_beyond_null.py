"""What CreditBench says of weights whose agreement with planted credit is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.creditbench.planted import measured
from tokencredit.creditbench.board import METHOD, line, ordered
from tokencredit.creditbench.records import Measured
from tokencredit.seeds import generator

MEASURES = [
    "rho",
    "rho_information",
    "signed",
    "auc",
    "auc_information",
    "lift",
    "lift_information",
    "nothing",
    "alternatives",
]


@pytest.fixture(scope="module")
def exact() -> Measured:
    return measured()


@pytest.fixture(scope="module")
def noisy() -> Measured:
    return measured(noise=True)


def judged(policy: Measured, advantage: np.ndarray) -> pd.DataFrame:
    return line(policy, METHOD, "tried", "Tried", advantage).set_index("metric")


def equal(policy: Measured) -> np.ndarray:
    return policy.tokens[["advantage"]].to_numpy(float)


def at_random(policy: Measured, number: int = 0) -> np.ndarray:
    return equal(policy) * generator("tried", number).random((len(policy.tokens), 1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exact", "noisy"])
def test_measured_credit_scores_best(kind: str, request: pytest.FixtureRequest) -> None:
    policy = request.getfixturevalue(kind)
    tried = {
        "random": at_random(policy),
        "measured": policy.thirds["measured"],
        "equal": equal(policy),
        "entropy": equal(policy) * policy.tokens[["entropy"]].to_numpy(float),
    }
    board = pd.concat([line(policy, METHOD, name, name, advantage) for name, advantage in tried.items()])
    for measure in ("auc", "rho", "signed", "lift", "alternatives"):
        assert ordered(board, policy.name, measure).index[0] == "measured", measure
    own = board[(board["method"] == "measured") & (board["metric"] == "nothing")].iloc[0]
    assert own["less_high"] < 0


def test_without_noise_measured_credit_agrees_wholly(exact: Measured) -> None:
    found = judged(exact, exact.thirds["measured"])
    assert found.loc[["rho", "signed"], "value"].tolist() == pytest.approx([1, 1], abs=0.05)
    assert found.loc["alternatives", ["value", "n"]].tolist() == [
        1,
        2 * 10 * 4,
    ]  # two responses to a problem took either token at first
    assert found.loc["nothing", "value"] == 0


def test_the_worse_alternative_is_ranked_wrong(exact: Measured) -> None:
    assert judged(exact, -exact.thirds["measured"]).loc["alternatives", "value"] == 0


@pytest.mark.slow
def test_random_weights_score_their_null(noisy: Measured) -> None:
    """Over several draws: as often below as above, and no farther than their intervals are wide."""
    tried = [judged(noisy, at_random(noisy, number)) for number in range(8)]
    for measure in MEASURES:
        less = np.array([found.loc[measure, "less"] for found in tried])
        width = np.mean([found.loc[measure, "less_high"] - found.loc[measure, "less_low"] for found in tried])
        assert abs(less.mean()) < width / 2, measure
    assert all(found.loc["auc", "null"] == pytest.approx(0.5, abs=0.05) for found in tried)


def test_equal_weights_are_their_own_null(noisy: Measured) -> None:
    found = judged(noisy, equal(noisy))
    assert found["less"].tolist() == pytest.approx([0] * len(MEASURES), abs=1e-12)
    assert not found["unequal"].any()


def test_the_null_knows_what_a_method_gives_whole_responses(exact: Measured) -> None:
    """All weight on right responses: that is no agreement within a response, and no measure rewards it."""
    masked = equal(exact) * (exact.tokens[["reward"]].to_numpy() > 0)
    assert judged(exact, masked)["less"].tolist() == pytest.approx([0] * len(MEASURES), abs=1e-12)


def test_values_that_were_not_measured_are_those_of_the_next_state(exact: Measured) -> None:
    value, tokens = exact.thirds["value"], exact.tokens
    alone = (tokens["position"] % 3 == 2).to_numpy()
    last = (tokens["position"] == 11).to_numpy()
    inner = np.flatnonzero(alone & ~last)
    assert (value[inner] == value[inner + 1]).all()
    assert (value[last] == (tokens.loc[last, ["reward"]].to_numpy() > 0)).all()
    assert ((value > 0) & (value < 1))[~alone].all()
