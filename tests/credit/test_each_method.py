"""What single methods promise beside the invariants of all."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.credit.conftest import current_entropy, gradient_of, make_signals, staged
from tokencredit.credit import TokenCredit, TokenSignals, assign, shear
from tokencredit.credit.erpo import critical_decision_pivots


@pytest.mark.parametrize("name", ["eapo", "eapo-measured", "eapo-known-style"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), alpha=st.floats(0.05, 1.0), phi=st.floats(1.1, 4.0))
def test_eapo_weights_stay_in_their_band(name: str, seed: int, alpha: float, phi: float) -> None:
    signals = make_signals(seed)
    weight = assign(name, signals, alpha=alpha, phi=phi).advantage / signals.token_advantage
    assert weight.min() >= 1 - alpha / phi - 1e-12
    assert weight.max() <= 1 + alpha / phi + 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), alpha=st.floats(0.05, 1.0))
def test_hapo_keeps_each_responses_mass(seed: int, alpha: float) -> None:
    signals = make_signals(seed)
    credit = assign("hapo", signals, alpha=alpha).advantage.abs()
    for response in range(len(signals.reward)):
        tokens = signals.response == response
        assert float(credit[tokens].sum()) == pytest.approx(
            float(signals.advantage[response].abs() * tokens.sum()), abs=1e-10
        )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), kappa=st.floats(1.01, 4.0))
def test_entroadv_adds_at_most_a_share_of_the_advantage(seed: int, kappa: float) -> None:
    signals = staged("entroadv", make_signals(seed))
    advantage = signals.token_advantage
    added = assign("entroadv", signals, kappa=kappa).advantage - advantage
    assert added.min() >= 0
    assert (added - advantage.abs() / kappa).max() <= 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), gamma=st.floats(0.1, 2.0))
def test_iw_opd_weights_lie_between_one_and_one_plus_gamma_and_never_increase(seed: int, gamma: float) -> None:
    signals = make_signals(seed)
    weight = assign("iw-opd", signals, gamma=gamma).advantage / (signals.teacher_logprob - signals.old_logprob)
    assert weight.min() >= 1 - 1e-9
    assert weight.max() <= 1 + gamma + 1e-9
    within = signals.position[1:] > 0
    assert weight.diff()[within].max() <= 1e-9
    torch.testing.assert_close(weight[signals.position == 0], torch.full_like(signals.reward, 1 + gamma))


def right_and_wrong(hidden: torch.Tensor) -> TokenSignals:
    """A group of a right and a wrong response of equal length, with the last states ``hidden`` [N, H] of one after the other."""
    length = len(hidden) // 2
    return TokenSignals(
        response=torch.arange(2).repeat_interleave(length),
        position=torch.arange(length).repeat(2),
        entropy=torch.ones(len(hidden)),
        old_logprob=torch.zeros(len(hidden)),
        reward=torch.tensor([1.0, -1.0], dtype=torch.float64),
        advantage=torch.tensor([1.0, -1.0], dtype=torch.float64),
        group=torch.tensor([0, 0]),
        hidden=hidden,
    )


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**16), tile=st.sampled_from([1, 2**22]))
def test_shear_bounds_the_cost_of_the_best_assignment(seed: int, tile: int) -> None:
    """W1 <= W <= W1 + epsilon log n (arXiv 2604.23318, Lemma 1), by the assignment of equal spans; from below as iterations go on."""
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(10, 4, generator=random, dtype=torch.float64)
    signals = right_and_wrong(hidden)
    cost = (hidden[:5, None] - hidden[None, 5:]).norm(dim=2) / hidden.norm(dim=1).mean()
    exact = cost.numpy()[linear_sum_assignment(cost.numpy())].mean()

    def weight(iterations: int) -> float:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shear, "_TILE_NUMBERS", tile)
            found = assign("shear", signals, iterations=iterations).advantage.abs()
        assert torch.equal(found, found[:1].expand(10)), "one span on each side"
        return float(found[0])

    assert weight(1) <= weight(30) + 1e-12
    assert exact - 1e-2 <= weight(500) <= exact + 0.05 * math.log(5)


def test_shear_finds_the_stretch_that_differs() -> None:
    """Two responses with the same states but for the last four: the first span is near 0, the last far."""
    same = torch.eye(4, dtype=torch.float64).repeat(2, 1)
    hidden = torch.cat([same, torch.full((4, 4), 1.0), same, torch.full((4, 4), -1.0)]).double()
    weight = assign("shear", right_and_wrong(hidden), window=4, stride=4).advantage.abs().view(2, 3, 4)
    assert weight[:, :2].max() < 0.1
    assert weight[:, 2].min() > 0.5


def test_w_reinforce_is_lambda_psr_plus_nsr() -> None:
    signals = make_signals()
    parts = 0.1 * gradient_of("psr", signals, clip_high=1e9, clip_low=1.0) + gradient_of(
        "nsr", signals, clip_high=1e9, clip_low=1.0
    )
    whole = gradient_of("w-reinforce", signals, clip_high=1e9, clip_low=1.0)
    torch.testing.assert_close(whole, parts, atol=1e-12, rtol=0)


def test_the_entropy_bonus_reaches_the_entropies_alone() -> None:
    signals = make_signals()
    tokens = len(signals.response)
    bonus = gradient_of("entroreg", signals, {"beta": 0.5}) - gradient_of("grpo", signals)
    assert bonus[:tokens].abs().max() == 0
    torch.testing.assert_close(bonus[tokens:], torch.full((tokens,), -0.5 / tokens, dtype=torch.float64))
    assert current_entropy(signals).mean() > 0


def test_the_adaptive_coefficient_follows_its_history() -> None:
    signals = make_signals()

    def coefficient(*history: float) -> Any:
        given_history = torch.tensor(history, dtype=torch.float64)
        return assign("entroreg-adaptive", dataclasses.replace(signals, entropy_history=given_history)).entropy_coef

    assert coefficient() == 0.0
    assert coefficient(0.1, 0.1, 0.1) == pytest.approx(3e-4)
    assert coefficient(0.1, 0.1, 0.3) == pytest.approx(1e-4)
    assert coefficient(0.3, 0.3, 0.1) == pytest.approx(1e-4), "never below 0"
    assert coefficient(*[0.1] * 80) == pytest.approx(0.005), "never above the largest"
    high = dataclasses.replace(signals, entropy=signals.entropy + 1.0)
    assert assign("entroreg-adaptive", high).entropy_coef == 0.0, "silent above the target"


def test_critical_decision_pivots_are_the_gates_above_a_half() -> None:
    signals = make_signals()
    z = signals.group_zscore(signals.entropy)
    gate = 1 / (1 + torch.exp(-5.0 * z))
    assert torch.equal(critical_decision_pivots(signals), gate > 0.6)
    assert torch.equal(critical_decision_pivots(signals, margin=0.3), gate > 0.8)


def test_malformed_signals_are_refused(signals: TokenSignals) -> None:
    with pytest.raises(ValueError, match="entropy has shape"):
        dataclasses.replace(signals, entropy=signals.entropy[:-1])
    with pytest.raises(ValueError, match="non-decreasing"):
        dataclasses.replace(signals, response=signals.response.flip(0))
    with pytest.raises(ValueError, match="must index"):
        dataclasses.replace(signals, response=signals.response + 1)


def test_malformed_credit_is_refused(signals: TokenSignals) -> None:
    with pytest.raises(ValueError, match=r"keep has shape \(3,\)"):
        TokenCredit(signals.token_advantage, signals.every_token[:3])
    for field in ("denominator", "ratio", "surrogate"):
        with pytest.raises(ValueError, match=f"{field} is 'other'; allowed"):
            TokenCredit(signals.token_advantage, signals.every_token, **{field: "other"})


@pytest.mark.parametrize("name", ["vine", "vine-steps"])
def test_a_measured_value_ends_at_the_verdict_whatever_a_penalty_leaves_of_the_reward(
    name: str, signals: TokenSignals
) -> None:
    penalised = dataclasses.replace(signals, correct=signals.reward > 0, reward=signals.reward - 1)
    assert torch.equal(assign(name, penalised).advantage, assign(name, signals).advantage)
