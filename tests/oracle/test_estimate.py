"""What the oracle says of a state, against states whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tokencredit.oracle.estimate import (
    Branches,
    advantages,
    binary_entropy,
    exact_information,
    hindsight,
    information,
    null_information,
    squared_advantages,
)

Truth = Callable[[np.random.Generator, int], np.ndarray]
# How often the continuations of each token are right, in kinds of states that are met.
STATES: dict[str, Truth] = {
    "style: all tokens the same": lambda rng, tokens: np.full(tokens, rng.uniform(0.05, 0.95)),
    "style, nearly always right": lambda rng, tokens: np.full(tokens, 0.97),
    "nearly the same": lambda rng, tokens: np.clip(rng.uniform(0.2, 0.8) + rng.normal(0, 0.05, tokens), 0.01, 0.99),
    "strategy: two kinds of tokens": lambda rng, tokens: np.where(rng.random(tokens) < 0.5, 0.35, 0.9),
    "all different": lambda rng, tokens: rng.random(tokens),
    "sure: the token decides": lambda rng, tokens: (rng.random(tokens) < 0.5).astype(float),
}


def drawn(rng: np.random.Generator, truth: Truth, tokens: int, trials: int) -> tuple[float, Branches]:
    """I(o; r | s) of a random state of a kind, and what an oracle sees of it."""
    probability, right = rng.dirichlet(np.full(tokens, 0.7)), truth(rng, tokens)
    seen = Branches(probability, rng.binomial(trials, right), np.full(tokens, trials))
    return exact_information(probability, right), seen


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [2, 8])
@pytest.mark.parametrize("kind", STATES)
def test_the_estimate_has_little_bias_and_its_interval_covers_the_truth(kind: str, tokens: int) -> None:
    rng = np.random.default_rng([tokens, *kind.encode()])
    states = [drawn(rng, STATES[kind], tokens, trials=64) for _ in range(300)]
    found = [information(seen) for _, seen in states]
    errors = np.array([each.value - true for each, (true, _) in zip(found, states, strict=True)])
    assert abs(errors.mean()) < 0.003 + 3 * errors.std() / math.sqrt(len(errors))
    covered = np.mean(
        [each.low - 1e-9 <= true <= each.high + 1e-9 for each, (true, _) in zip(found, states, strict=True)]
    )
    # 90 % are asked for; three standard errors of 300 states are 5 points.
    assert covered > 0.85


def test_counts_put_in_for_shares_would_find_information_where_there_is_none() -> None:
    """The correction is what keeps tokens of style from looking as if they decided something."""
    rng = np.random.default_rng(0)
    states = [drawn(rng, STATES["style: all tokens the same"], 8, trials=32)[1] for _ in range(300)]
    plugged_in = np.mean([exact_information(seen.shares, seen.means) for seen in states])
    corrected = np.mean([information(seen).value for seen in states])
    assert plugged_in > 0.008
    assert abs(corrected) < plugged_in / 8


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.03, 0.34, 0.69, 0.97])
def test_less_its_null_the_estimate_has_no_bias_where_there_is_no_information(value: float) -> None:
    """Eight likely tokens of eight continuations each and ten rare ones of three, as the oracle had them: the jackknife is biased there."""
    rng = np.random.default_rng(round(1000 * value))
    probability = np.r_[np.full(8, 0.998 / 8), np.full(10, 0.002 / 10)]
    trials = np.r_[np.full(8, 8), np.full(10, 3)]
    found, less = [], []
    for _ in range(400):
        seen = Branches(probability, rng.binomial(trials, value), trials)
        found.append(information(seen).value)
        less.append(found[-1] - null_information(seen, rng, draws=5))
    assert abs(np.mean(less)) < 3 * np.std(less) / math.sqrt(len(less))
    assert abs(np.mean(found)) > 0.004


def test_more_continuations_narrow_the_interval() -> None:
    probability, right = np.array([0.6, 0.4]), np.array([0.25, 0.75])

    def width(trials: int) -> float:
        found = information(Branches(probability, (right * trials).astype(int), np.full(2, trials)))
        return found.high - found.low

    assert width(4096) < width(256) / 3 < width(16) / 8


def test_information_is_at_most_the_entropy_of_the_token() -> None:
    """The paper's bound, of the exact value; with a token that decides everything the two are equal."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        probability, right = rng.dirichlet(np.ones(5)), rng.random(5)
        entropy = -np.sum(probability * np.log(probability))
        assert 0 <= exact_information(probability, right) <= entropy
    half = np.array([0.5, 0.5])
    assert exact_information(half, np.array([0.0, 1.0])) == pytest.approx(math.log(2))


def test_tokens_that_were_not_tried_widen_the_interval_upwards() -> None:
    whole = Branches(np.array([0.5, 0.5]), np.array([16, 48]), np.array([64, 64]))
    part = Branches(np.array([0.49, 0.49]), np.array([16, 48]), np.array([64, 64]))
    assert information(part).value == pytest.approx(0.98 * information(whole).value)
    assert information(part).high > information(whole).high
    # The truth with the rest all right, which the oracle cannot see.
    unseen = exact_information(np.array([0.49, 0.49, 0.02]), np.array([0.25, 0.75, 1.0]))
    assert information(part).low < unseen < information(part).high


def test_the_hindsight_posterior_is_bayes_and_information_its_mean_divergence() -> None:
    """I = sum_r p(r) KL(pi(. | s, r) || pi(. | s)): the other way to write what the entropies give."""
    probability, right = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.4, 0.1])
    value = probability @ right
    after_right, after_wrong = hindsight(probability, right), hindsight(probability, 1 - right)
    assert after_right == pytest.approx([0.18 / 0.41, 0.20 / 0.41, 0.03 / 0.41])
    divergence = value * np.sum(after_right * np.log(after_right / probability))
    divergence += (1 - value) * np.sum(after_wrong * np.log(after_wrong / probability))
    assert exact_information(probability, right) == pytest.approx(divergence)


def test_advantages_average_to_nothing_and_cover_the_truth() -> None:
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(300):
        probability, right = rng.dirichlet(np.ones(4)), rng.uniform(0.1, 0.9, 4)
        seen = Branches(probability, rng.binomial(64, right), np.full(4, 64))
        advantage, se = advantages(seen)
        assert probability @ advantage == pytest.approx(0, abs=1e-12)
        inside += list(abs(advantage - (right - probability @ right)) < 1.645 * se)
    assert 0.87 < np.mean(inside) < 0.93


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_squared_advantages_have_no_bias_with_few_and_unequal_continuations(spread: float) -> None:
    """Where all tokens are alike the squares of the estimates are all noise."""
    rng = np.random.default_rng(3)
    probability, right = np.array([0.6, 0.3, 0.1]), 0.5 + spread * np.array([-0.5, 0.5, 1.5])
    trials = np.array([16, 8, 4])
    seen = [Branches(probability, rng.binomial(trials, right), trials) for _ in range(4000)]
    found = np.array([squared_advantages(each) for each in seen])
    exact = (right - probability @ right) ** 2
    standard_error = found.std(0) / math.sqrt(len(found))
    assert (abs(found.mean(0) - exact) < 4 * standard_error).all()
    naive = np.mean([advantages(each)[0] ** 2 for each in seen], axis=0)
    assert (naive - exact > 6 * standard_error).all()


def test_the_entropy_of_a_share() -> None:
    assert binary_entropy(np.array([0.0, 0.5, 1.0, 1 + 1e-16])) == pytest.approx([0, math.log(2), 0, 0])
