"""The loss is the paper's Eq. 2, whatever the micro-batches; the quadrants add up to it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.credit.conftest import make_signals
from tokencredit.credit import METHODS, QUADRANTS, TokenCredit, assign
from tokencredit.errors import UserError
from tokencredit.policy import policy_loss

AGGREGATIONS = ("token-mean", "sequence-mean")


def loss_and_gradient(signals, credit: TokenCredit, **options):
    logprob = signals.logprob.clone().requires_grad_()
    loss, metrics = policy_loss(logprob, signals, credit, **options)
    loss.backward()
    return loss.detach(), logprob.grad, metrics


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_loss_equals_equation_2_written_out(aggregation: str) -> None:
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    loss, _, metrics = loss_and_gradient(
        signals, assign("grpo", signals), clip_low=0.2, clip_high=0.28, aggregation=aggregation
    )
    expected, low, high = 0.0, 0, 0
    tokens, responses = len(signals.response), len(signals.reward)
    for token in range(tokens):
        rho = float(torch.exp(signals.logprob[token] - signals.old_logprob[token]))
        a = float(signals.advantage[signals.response[token]])
        term = min(rho * a, max(0.8, min(1.28, rho)) * a)
        length = int((signals.response == signals.response[token]).sum())
        expected -= term / (tokens if aggregation == "token-mean" else responses * length)
        low, high = low + (a < 0 and rho < 0.8), high + (a > 0 and rho > 1.28)
    assert float(loss) == pytest.approx(expected, abs=1e-12)
    if aggregation == "token-mean":
        assert float(metrics["clip_low_fraction"]) == pytest.approx(low / tokens, abs=1e-12)
        assert float(metrics["clip_high_fraction"]) == pytest.approx(high / tokens, abs=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_four_quadrants_add_up_to_grpo(aggregation: str) -> None:
    signals = dataclasses.replace(make_signals(5), ref_logprob=None)
    whole, gradient, _ = loss_and_gradient(signals, assign("grpo", signals), aggregation=aggregation)
    parts = [loss_and_gradient(signals, assign(name, signals), aggregation=aggregation) for name in QUADRANTS]
    torch.testing.assert_close(sum(part[0] for part in parts), whole, atol=1e-10, rtol=0)
    torch.testing.assert_close(sum(part[1] for part in parts), gradient, atol=1e-10, rtol=0)
    assert all(part[1].abs().sum() > 0 for part in parts)


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), pieces=st.integers(2, 6), aggregation=st.sampled_from(AGGREGATIONS))
def test_micro_batches_add_up_to_the_batch(name: str, seed: int, pieces: int, aggregation: str) -> None:
    signals = make_signals(seed)
    credit = assign(name, signals)
    options = {"kl_coef": 0.1, "aggregation": aggregation}
    whole, gradient, metrics = loss_and_gradient(signals, credit, **options)
    order = torch.randperm(len(signals.response), generator=torch.Generator().manual_seed(seed))
    logprob = signals.logprob.clone().requires_grad_()
    total, sums = 0.0, dict.fromkeys(metrics, 0.0)
    for rows in order.tensor_split(pieces):
        loss, part = policy_loss(logprob[rows], signals, credit, rows=rows, **options)
        loss.backward()
        total += float(loss.detach())
        sums = {
            key: max(sums[key], float(part[key])) if key == "ratio_max" else sums[key] + float(part[key])
            for key in sums
        }
    assert total == pytest.approx(float(whole), abs=1e-10)
    torch.testing.assert_close(logprob.grad, gradient, atol=1e-10, rtol=0)
    assert sums == pytest.approx({key: float(value) for key, value in metrics.items()}, abs=1e-10)


def test_the_logit_gradient_is_the_papers_equation_5() -> None:
    """-dL/dz_v = A (1 - pi_v) at the sampled token and -A pi_v elsewhere, at ratio 1, times the token's weight 1 / N."""
    signals = make_signals(2)
    tokens = len(signals.response)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(tokens, 6, generator=random, dtype=torch.float64).requires_grad_()
    taken = torch.randint(0, 6, (tokens,), generator=random)
    logprob = torch.log_softmax(logits, -1).gather(-1, taken[:, None]).squeeze(-1)
    signals = dataclasses.replace(signals, old_logprob=logprob.detach(), ref_logprob=None)
    policy_loss(logprob, signals, assign("grpo", signals))[0].backward()
    onehot = torch.nn.functional.one_hot(taken, 6)
    expected = signals.token_advantage[:, None] * (onehot - torch.softmax(logits.detach(), -1))
    torch.testing.assert_close(-logits.grad * tokens, expected, atol=1e-12, rtol=0)


def test_kept_tokens_can_be_the_denominator() -> None:
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    credit = assign("phr", signals)
    kept = dataclasses.replace(credit, denominator="kept")
    share = float(credit.keep.double().mean())
    for aggregation in AGGREGATIONS:
        all_loss, kept_loss = (loss_and_gradient(signals, c, aggregation=aggregation)[0] for c in (credit, kept))
        assert abs(float(kept_loss)) > abs(float(all_loss))
        if aggregation == "token-mean":
            assert float(kept_loss) * share == pytest.approx(float(all_loss), abs=1e-12)


@pytest.mark.parametrize("option", ["clip_low", "clip_high", "kl_coef", "aggregation"])
def test_every_option_reaches_the_gradient(option: str) -> None:
    signals = make_signals()
    credit = assign("grpo", signals)
    values = {"clip_low": 0.1, "clip_high": 0.1, "kl_coef": 0.5, "aggregation": "sequence-mean"}
    _, plain, _ = loss_and_gradient(signals, credit)
    _, changed, _ = loss_and_gradient(signals, credit, **{option: values[option]})
    assert not torch.allclose(plain, changed, atol=1e-8)


def test_clip_bounds_and_kl_may_be_given_per_token() -> None:
    signals = make_signals()
    plain = assign("grpo", signals)
    ones = torch.ones(len(signals.response), dtype=torch.float64)
    own = dataclasses.replace(plain, clip_low=0.2 * ones, clip_high=0.28 * ones, kl_coef=0.1 * ones)
    expected = loss_and_gradient(signals, plain, clip_low=0.2, clip_high=0.28, kl_coef=0.1)
    obtained = loss_and_gradient(signals, own)
    torch.testing.assert_close(obtained[0], expected[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(obtained[1], expected[1], atol=1e-12, rtol=0)


def test_kl_without_a_reference_is_refused() -> None:
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    with pytest.raises(UserError, match="no ref_logprob"):
        policy_loss(signals.logprob, signals, assign("grpo", signals), kl_coef=0.1)
