"""Token weights by hand, at their ends, and against scipy."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from scipy.stats import pearsonr

from tests.credit.conftest import make_signals
from tests.credit.test_invariants import permuted
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign
from tokencredit.credit.diagnostics import diagnose

CORRELATIONS = ("correlation_entropy", "correlation_position", "correlation_logprob")


def two_responses(advantage: list[float], keep: list[bool] | None = None) -> tuple[TokenSignals, TokenCredit]:
    """A right response of four tokens with A = 2, then a wrong one of two with A = -1."""
    signals = TokenSignals(
        response=torch.tensor([0, 0, 0, 0, 1, 1]),
        position=torch.tensor([0, 1, 2, 3, 0, 1]),
        entropy=torch.tensor([0.0, 1.0, 2.0, 3.0, 1.0, 2.0], dtype=torch.float64),
        old_logprob=torch.tensor([-0.5, -1.0, -0.1, -2.0, -0.3, -0.7], dtype=torch.float64),
        reward=torch.tensor([1.0, -1.0], dtype=torch.float64),
        advantage=torch.tensor([2.0, -1.0], dtype=torch.float64),
        group=torch.tensor([0, 0]),
    )
    return signals, TokenCredit(torch.tensor(advantage, dtype=torch.float64), torch.tensor(keep or [True] * 6))


def test_weights_by_hand() -> None:
    """Weights 0.5, 1.5, 1, 1 in the first response; 1 and a token that is left out in the second."""
    found = diagnose(*two_responses([1.0, 3.0, 2.0, 2.0, -1.0, -5.0], [True] * 5 + [False]))
    assert found["credit_mean"] == pytest.approx(9 / 6)
    assert found["credit_sum"] == 9
    assert found["kept"] == pytest.approx(5 / 6)
    # Ascending 0.5, 1, 1, 1.5 times -3, -1, 1, 3 over 4 * 4; and 0, 1 times -1, 1 over 2 * 1.
    assert found["weight_gini"] == pytest.approx((3 / 16 + 1 / 2) / 2)
    # 4^2 / (4 * 4.5) and 1 / 2.
    assert found["effective_tokens"] == pytest.approx((16 / 18 + 1 / 2) / 2)
    assert found["sign_changes"] == 0


def test_signs_are_counted_among_kept_tokens_that_have_one() -> None:
    """Of the four kept tokens with credit two have the other sign; one token has no credit, one is left out."""
    found = diagnose(*two_responses([1.0, -1.0, 0.0, -2.0, 1.0, -1.0], [True, True, True, False, True, True]))
    assert found["sign_changes"] == pytest.approx(2 / 4)


def test_uniform_credit_is_exactly_even_and_correlates_with_nothing() -> None:
    for advantage in (0.1, 1 / 3, 2.475):
        signals = make_signals()
        scaled = dataclasses.replace(signals, advantage=(signals.advantage * advantage).float())
        found = diagnose(scaled, assign("grpo", scaled))
        assert (found["weight_gini"], found["effective_tokens"], found["sign_changes"]) == (0.0, 1.0, 0.0)
        assert [found[name] for name in CORRELATIONS] == [None] * 3


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_one_token_alone_has_the_largest_gini(length: int) -> None:
    signals = TokenSignals(
        response=torch.arange(2).repeat_interleave(length),
        position=torch.arange(length).repeat(2),
        entropy=torch.rand(2 * length),
        old_logprob=-torch.rand(2 * length),
        reward=torch.tensor([1.0, -1.0]),
        advantage=torch.tensor([0.7, -0.7]),
        group=torch.tensor([0, 0]),
    )
    advantage = torch.zeros(2 * length)
    advantage[length // 2] = 0.7
    found = diagnose(signals, TokenCredit(advantage, signals.every_token))
    assert found["weight_gini"] == pytest.approx((length - 1) / length)
    assert found["effective_tokens"] == pytest.approx(1 / length)


@pytest.mark.parametrize("name", ["eapo", "phr", "dr-grpo"])
def test_correlations_are_scipys(name: str) -> None:
    signals = make_signals(5)
    credit = assign(name, signals)
    weight = credit.advantage.abs() * credit.keep / signals.token_advantage.abs()
    place = signals.position.double() / torch.bincount(signals.response)[signals.response]
    found = diagnose(signals, credit)
    for key, column in zip(CORRELATIONS, (signals.entropy, place, signals.old_logprob), strict=True):
        assert found[key] == pytest.approx(pearsonr(weight, column).statistic, abs=1e-12)


@pytest.mark.parametrize("name", ["eapo", "phr", "grpo"])
def test_neither_the_order_of_responses_nor_the_scale_of_credit_matters(name: str) -> None:
    signals = make_signals(7)
    credit = assign(name, signals)
    expected = diagnose(signals, credit)
    shuffled, rows = permuted(signals, torch.randperm(len(signals.reward), generator=torch.Generator().manual_seed(0)))
    assert diagnose(shuffled, credit.select(rows)) == pytest.approx(expected, abs=1e-12)
    tripled = diagnose(signals, TokenCredit(3 * credit.advantage, credit.keep))
    expected |= {key: 3 * expected[key] for key in ("credit_mean", "credit_sum")}
    assert tripled == pytest.approx(expected, abs=1e-9)


def test_credit_without_an_advantage_counts_where_it_can() -> None:
    """A = 0 in the first response: its weights are unequal all the same, but have no sign and no scale."""
    signals, credit = two_responses([1.0, 3.0, 2.0, 2.0, -1.0, -1.0])
    found = diagnose(dataclasses.replace(signals, advantage=torch.tensor([0.0, -1.0])), credit)
    assert found["credit_sum"] == 10
    assert found["weight_gini"] == pytest.approx((3 / 16 + 0) / 2)
    assert found["sign_changes"] == 0
    assert [found[name] for name in CORRELATIONS] == [None] * 3


def test_a_batch_without_credit_has_no_weights() -> None:
    signals, credit = two_responses([0.0] * 6)
    found = diagnose(dataclasses.replace(signals, advantage=torch.zeros(2)), credit)
    assert found == {"credit_mean": 0.0, "credit_sum": 0.0, "kept": 1.0} | dict.fromkeys(
        ("weight_gini", "effective_tokens", "sign_changes", *CORRELATIONS)
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_finite_numbers(name: str) -> None:
    signals = make_signals(11)
    found = diagnose(signals, assign(name, signals))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert 0 <= found["weight_gini"] < 1
    assert 0 < found["effective_tokens"] <= 1
    assert all(found[key] is None or abs(found[key]) <= 1 + 1e-12 for key in CORRELATIONS)
