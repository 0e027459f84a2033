"""The loss is the paper's Eq. 2, whatever the micro-batches; the quadrants add up to it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.credit.conftest import current_entropy, loss_and_gradient, make_signals, staged
from tokencredit.credit import METHODS, QUADRANTS, TokenCredit, TokenSignals, assign
from tokencredit.errors import UserError
from tokencredit.policy import policy_loss

AGGREGATIONS = ("token-mean", "sequence-mean", "constant")
LIMIT = 12  # the longest response that make_signals makes


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
        expected -= (
            term
            / {"token-mean": tokens, "sequence-mean": responses * length, "constant": responses * LIMIT}[aggregation]
        )
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
def test_micro_batches_add_up_to_the_batch(name: str) -> None:
    """Cut anywhere between tokens, or between responses where the ratio is the response's."""
    for seed, (pieces, aggregation) in enumerate(zip((2, 3, 6), AGGREGATIONS, strict=True)):
        signals = make_signals(seed)
        credit = assign(name, staged(name, signals))
        options = {"kl_coef": 0.1, "aggregation": aggregation, "max_response_tokens": LIMIT}
        whole, gradient, metrics = loss_and_gradient(signals, credit, **options)
        random = torch.Generator().manual_seed(seed)
        if credit.ratio == "token":
            cuts = torch.randperm(len(signals.response), generator=random).tensor_split(pieces)
        else:
            members = torch.randperm(len(signals.reward), generator=random).tensor_split(pieces)
            cuts = [torch.isin(signals.response, some).nonzero().squeeze(1) for some in members]
        logprob = signals.logprob.clone().requires_grad_()
        entropy = current_entropy(signals).clone().requires_grad_()
        total, sums = 0.0, dict.fromkeys(metrics, 0.0)
        for rows in cuts:
            loss, part = policy_loss(logprob[rows], signals, credit, rows=rows, entropy=entropy[rows], **options)
            (loss + 0 * entropy.sum()).backward()
            total += float(loss.detach())
            sums = {
                key: max(sums[key], float(part[key])) if key == "ratio_max" else sums[key] + float(part[key])
                for key in sums
            }
        assert total == pytest.approx(float(whole), abs=1e-10)
        torch.testing.assert_close(torch.cat([logprob.grad, entropy.grad]), gradient, atol=1e-10, rtol=0)
        assert sums == pytest.approx({key: float(value) for key, value in metrics.items()}, abs=1e-10)


@pytest.mark.parametrize("name", ["gspo", "gspo-token", "hoelderpo"])
def test_a_response_split_over_micro_batches_is_refused_where_its_ratio_is_needed(name: str) -> None:
    signals = make_signals()
    credit = assign(name, signals)
    rows = torch.arange(len(signals.response))[1:]
    assert (signals.response[:2] == signals.response[0]).all(), "the cut lies inside a response"
    with pytest.raises(ValueError, match="all of its tokens in one micro-batch"):
        policy_loss(signals.logprob[rows], signals, credit, rows=rows)


@pytest.mark.parametrize("power", [-2.0, -0.5, 0.0, 0.7, 1.0, 3.0])
def test_the_power_mean_of_ratios(power: float) -> None:
    """Its value and its gradient weights rho^p / sum rho^p (arXiv 2605.12058), also where ratios are large."""
    signals = make_signals(4)
    for scale in (1.0, 30.0):
        away = dataclasses.replace(
            signals, logprob=signals.old_logprob + scale * (signals.logprob - signals.old_logprob), ref_logprob=None
        )
        credit = TokenCredit(signals.token_advantage, signals.every_token, surrogate="unclipped", ratio="response")
        credit = dataclasses.replace(credit, ratio_power=power)
        loss, gradient, _ = loss_and_gradient(away, credit, aggregation="sequence-mean")
        expected, slopes = 0.0, torch.zeros(len(signals.response), dtype=torch.float64)
        for response in range(len(signals.reward)):
            rows = (signals.response == response).nonzero().squeeze(1)
            log_ratio = (away.logprob - away.old_logprob)[rows]
            if power:
                mean = log_ratio.mul(power).exp().mean().pow(1 / power)
                share = log_ratio.mul(power).exp() / log_ratio.mul(power).exp().sum()
            else:
                mean, share = log_ratio.mean().exp(), torch.full_like(log_ratio, 1 / len(rows))
            advantage = signals.advantage[response] / len(signals.reward)
            expected -= float(advantage * mean)
            slopes[rows] = -advantage * mean * share
        assert float(loss) == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(gradient[: len(slopes)], slopes, rtol=1e-9, atol=1e-9 * float(slopes.abs().max()))


@pytest.mark.parametrize("power", [1e-5, 1e-4, 1e-3, -0.002])
def test_the_power_mean_near_power_zero_is_right_in_float32(power: float) -> None:
    """An annealed power passes through zero: (log of a mean close to 1) / p must not be rounding."""
    random = torch.Generator().manual_seed(0)
    tokens = 2000
    zeros = torch.zeros(tokens)
    signals = TokenSignals(
        response=torch.zeros(tokens, dtype=torch.long),
        position=torch.arange(tokens),
        entropy=zeros,
        old_logprob=zeros - 1,
        reward=torch.ones(1),
        advantage=torch.ones(1),
        group=torch.zeros(1, dtype=torch.long),
    )
    log_ratio = 0.1 * torch.randn(tokens, generator=random)
    credit = TokenCredit(zeros + 1, signals.every_token, surrogate="unclipped", ratio="response", ratio_power=power)
    loss, _ = policy_loss(signals.old_logprob + log_ratio, signals, credit)
    exact = log_ratio.double().mul(power).exp().mean().pow(1 / power)
    assert float(loss) == pytest.approx(-float(exact), rel=1e-5)


def test_the_token_form_of_a_response_ratio_has_its_value_and_the_tokens_gradient() -> None:
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    weights = signals.attention_entropy * signals.token_advantage
    whole = TokenCredit(weights, signals.every_token, surrogate="unclipped", ratio="response")
    token = dataclasses.replace(whole, ratio="response-token")
    loss, smeared, _ = loss_and_gradient(signals, whole)
    token_loss, own, _ = loss_and_gradient(signals, token)
    assert float(token_loss) == pytest.approx(float(loss), abs=1e-12)
    ratio = signals.response_mean(signals.logprob - signals.old_logprob).exp()
    tokens = len(signals.response)
    torch.testing.assert_close(own[:tokens], -ratio * weights / tokens, atol=1e-12, rtol=0)
    torch.testing.assert_close(smeared[:tokens], signals.response_mean(own[:tokens]), atol=1e-12, rtol=0)


def test_surrogates_written_out() -> None:
    """Gradients with respect to log pi: rho A inside the bounds, rho A everywhere, clip(rho) A, A."""
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    advantage, tokens = signals.token_advantage, len(signals.response)
    ratio = (signals.logprob - signals.old_logprob).exp()
    clipped = ((ratio > 1.28) & (advantage > 0)) | ((ratio < 0.8) & (advantage < 0))
    expected = {
        "clip": ratio * advantage * ~clipped,
        "unclipped": ratio * advantage,
        "cispo": ratio.clamp(0.8, 1.28) * advantage,
        "reinforce": advantage,
    }
    for surrogate, gradient in expected.items():
        credit = TokenCredit(advantage, signals.every_token, surrogate=surrogate)
        obtained = loss_and_gradient(signals, credit)[1][:tokens]
        torch.testing.assert_close(obtained, -gradient / tokens, atol=1e-12, rtol=0)


def test_the_drift_penalty_pulls_back_towards_the_old_policy() -> None:
    signals = dataclasses.replace(make_signals(), ref_logprob=None)
    plain = TokenCredit(signals.token_advantage, signals.every_token)
    away = torch.zeros(len(signals.response), dtype=torch.float64)
    away[::3] = 0.7
    penalised = dataclasses.replace(plain, old_kl_coef=away)
    difference = loss_and_gradient(signals, penalised)[1] - loss_and_gradient(signals, plain)[1]
    expected = away * (signals.logprob - signals.old_logprob).sign() / len(away)
    torch.testing.assert_close(difference[: len(away)], expected, atol=1e-12, rtol=0)


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
    for aggregation in ("token-mean", "sequence-mean"):
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


def test_an_entropy_bonus_without_entropies_and_a_constant_without_its_length_are_refused() -> None:
    signals = make_signals()
    with pytest.raises(ValueError, match="no entropy was given"):
        policy_loss(signals.logprob, signals, assign("entroreg", signals))
    with pytest.raises(ValueError, match="needs max_response_tokens"):
        policy_loss(signals.logprob, signals, assign("grpo", signals), aggregation="constant")
