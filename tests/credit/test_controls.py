"""Controls keep what they must of a method's credit, and lose the rest."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.credit.conftest import gradient_of, loss_and_gradient, make_signals, staged
from tokencredit.credit import CONTROLS, METHODS, TokenCredit, TokenSignals, assign, controlled
from tokencredit.credit.controls import refusal
from tokencredit.errors import UserError


def both(control: str, name: str, seed: int = 0) -> tuple[TokenSignals, TokenCredit, TokenCredit]:
    signals = make_signals(seed)
    credit = assign(name, staged(name, signals))
    return signals, credit, controlled(control, staged(name, signals), credit)


def mean_size(signals: TokenSignals, credit: TokenCredit) -> float:
    """The token mean of |A| in the loss."""
    size = (credit.advantage.abs() * credit.keep).sum()
    return float(size / (credit.keep.sum() if credit.denominator == "kept" else len(signals.response)))


@pytest.mark.parametrize("name", METHODS)
def test_norm_matched_is_grpo_at_the_methods_own_scale(name: str) -> None:
    signals, credit, control = both("norm-matched", name)
    assert mean_size(signals, control) == pytest.approx(mean_size(signals, credit), rel=1e-12)
    weight = control.advantage / signals.token_advantage
    torch.testing.assert_close(weight, weight[:1].expand_as(weight), atol=1e-12, rtol=0)
    assert control.keep.all()
    assert (control.surrogate, control.ratio) == (credit.surrogate, credit.ratio)


@pytest.mark.parametrize("name", METHODS)
def test_shuffled_keeps_every_responses_credits_and_moves_them(name: str) -> None:
    signals, credit, control = both("shuffled", name)
    moved = varied = False
    for response in range(len(signals.reward)):
        rows = signals.response == response
        for field, values in credit.per_token.items():
            mine = getattr(control, field)[rows]
            assert torch.equal(mine.sort().values, values[rows].sort().values)
            moved |= not torch.equal(mine, values[rows])
            varied |= len(values[rows].unique()) > 1
    assert moved == varied


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.masks])
def test_a_random_mask_keeps_as_many_tokens_but_others(name: str) -> None:
    signals, credit, control = both("random-mask", name)
    assert control.keep.sum() == credit.keep.sum()
    assert not torch.equal(control.keep, credit.keep)
    assert torch.equal(control.advantage, signals.token_advantage)
    assert control.denominator == credit.denominator


def test_a_random_mask_is_random() -> None:
    """Over many batches it keeps tokens of high and of low entropy alike, and another noise keeps other tokens."""
    kept, left = [], []
    for seed in range(30):
        signals, _, control = both("random-mask", "forking", seed)
        kept.append(signals.entropy[control.keep].mean())
        left.append(signals.entropy[~control.keep].mean())
    difference = torch.stack(kept) - torch.stack(left)
    assert difference.mean().abs() < 3 * difference.std() / len(kept) ** 0.5
    signals, credit, control = both("random-mask", "forking")
    other = controlled("random-mask", dataclasses.replace(signals, control_noise=1 - signals.control_noise), credit)
    assert not torch.equal(other.keep, control.keep)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.masks])
def test_a_random_mask_of_high_entropy_keeps_as_many_and_high_ones_first(name: str) -> None:
    signals, credit, control = both("random-high-mask", name)
    entropy = staged(name, signals).entropy
    high = entropy > entropy.mean()
    assert control.keep.sum() == credit.keep.sum()
    assert (control.keep & high).sum() == min(credit.keep.sum(), high.sum())
    assert torch.equal(control.advantage, signals.token_advantage)
    other = controlled(
        "random-high-mask", dataclasses.replace(signals, control_noise=1 - signals.control_noise), credit
    )
    assert not torch.equal(other.keep, control.keep)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", METHODS)
def test_a_control_acts_where_it_is_not_refused_and_nowhere_else(name: str, control: str) -> None:
    """Where it is refused it is the method itself, or uniform credit under another name. One that is allowed differs from its method."""
    signals, _, other = both(control, name)
    gradient = loss_and_gradient(signals, other)[1]
    itself = torch.allclose(gradient, gradient_of(name, signals), atol=1e-9)
    uniform = torch.allclose(gradient, gradient_of("grpo", signals), atol=1e-9)
    if refusal(control, METHODS[name]) is None:
        assert not itself
    elif control.endswith("mask"):
        assert other.keep.all(), "no token is left out"
    else:
        assert itself or uniform or name == "iw-opd"


def test_unknown_controls_and_missing_noise_are_refused() -> None:
    signals = make_signals()
    credit = assign("eapo", signals)
    with pytest.raises(UserError, match="control 'other' is not known; allowed: norm-matched, shuffled, random-mask"):
        controlled("other", signals, credit)
    with pytest.raises(UserError, match="control 'shuffled' needs the column 'control_noise'"):
        controlled("shuffled", dataclasses.replace(signals, control_noise=None), credit)
