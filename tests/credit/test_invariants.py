"""What must hold for every method, listed from ``METHODS`` so that a new one cannot be added without it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.credit.conftest import make_signals
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign

ROWWISE = ("entropy", "old_logprob", "logprob", "ref_logprob", "position")
# Credits that are the same function: they differ by their base.
SAME_CREDIT = {frozenset({"grpo", "dapo"})}


def permuted(signals: TokenSignals, order: torch.Tensor) -> tuple[TokenSignals, torch.Tensor]:
    """The same batch with its responses in another order, and the rows of the old batch in the new one's order."""
    rows = torch.cat([(signals.response == response).nonzero().squeeze(1) for response in order])
    place = torch.argsort(order)
    columns = {name: getattr(signals, name)[rows] for name in ROWWISE}
    columns |= {name: getattr(signals, name)[order] for name in ("reward", "advantage", "group")}
    return TokenSignals(response=place[signals.response[rows]], **columns), rows


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_responses_changes_nothing(name: str, seed: int) -> None:
    signals = make_signals(seed)
    order = torch.randperm(len(signals.reward), generator=torch.Generator().manual_seed(seed))
    shuffled, rows = permuted(signals, order)
    expected, obtained = assign(name, signals), assign(name, shuffled)
    torch.testing.assert_close(obtained.advantage, expected.advantage[rows], atol=1e-10, rtol=0)
    assert torch.equal(obtained.keep, expected.keep[rows])


@pytest.mark.parametrize("name", METHODS)
def test_credit_belongs_to_the_group_alone(name: str) -> None:
    """A group's credit is the same in a batch of its own: no statistic leaks from other groups."""
    signals = make_signals(3)
    for group in signals.group.unique():
        part, rows = signals.select((signals.group == group).nonzero().squeeze(1))
        whole, alone = assign(name, signals), assign(name, part)
        torch.testing.assert_close(alone.advantage, whole.advantage[rows], atol=1e-10, rtol=0)
        assert torch.equal(alone.keep, whole.keep[rows])


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_groups_without_advantage_stay_at_zero_and_signs_never_change(name: str, seed: int) -> None:
    signals = make_signals(seed)
    zero = signals.group[signals.response] == 1
    advantage = signals.advantage.masked_fill(signals.group == 1, 0.0)
    credit = assign(name, dataclasses.replace(signals, advantage=advantage))
    assert credit.advantage[zero].abs().max() == 0
    assert torch.equal(credit.advantage.sign(), advantage[signals.response].sign())


@pytest.mark.parametrize("name", METHODS)
def test_credit_is_computed_in_the_dtype_of_the_advantage(name: str) -> None:
    signals = make_signals()
    single = dataclasses.replace(
        signals,
        **{
            f.name: getattr(signals, f.name).float()
            for f in dataclasses.fields(signals)
            if getattr(signals, f.name).is_floating_point()
        },
    )
    credit = assign(name, single)
    assert credit.advantage.dtype == torch.float32
    torch.testing.assert_close(credit.advantage.double(), assign(name, signals).advantage, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "parameter"), [(n, p) for n, m in METHODS.items() for p in m.defaults])
def test_every_parameter_acts(name: str, parameter: str) -> None:
    signals = make_signals()
    default = METHODS[name].defaults[parameter]
    changed = assign(name, signals, **{parameter: default * 1.5})
    assert not torch.allclose(changed.advantage, assign(name, signals).advantage, atol=1e-6)


def test_no_two_methods_are_secretly_one() -> None:
    signals = make_signals()

    def fingerprint(credit: TokenCredit) -> torch.Tensor:
        return credit.advantage * credit.keep / (credit.keep.sum() if credit.denominator == "kept" else 1)

    prints = {name: fingerprint(assign(name, signals)) for name in METHODS}
    same = {
        frozenset({a, b}) for a in prints for b in prints if a < b and torch.allclose(prints[a], prints[b], atol=1e-9)
    }
    assert same == SAME_CREDIT


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), alpha=st.floats(0.05, 1.0), phi=st.floats(1.1, 4.0))
def test_eapo_weights_stay_in_their_band(seed: int, alpha: float, phi: float) -> None:
    signals = make_signals(seed)
    weight = assign("eapo", signals, alpha=alpha, phi=phi).advantage / signals.token_advantage
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


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if "alpha" in method.defaults])
def test_alpha_zero_is_grpo_bit_for_bit(name: str) -> None:
    signals = make_signals()
    assert torch.equal(assign(name, signals, alpha=0.0).advantage, assign("grpo", signals).advantage)


def test_malformed_signals_are_refused(signals: TokenSignals) -> None:
    with pytest.raises(ValueError, match="entropy has shape"):
        dataclasses.replace(signals, entropy=signals.entropy[:-1])
    with pytest.raises(ValueError, match="non-decreasing"):
        dataclasses.replace(signals, response=signals.response.flip(0))
    with pytest.raises(ValueError, match="must index"):
        dataclasses.replace(signals, response=signals.response + 1)
