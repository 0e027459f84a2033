from __future__ import annotations

import dataclasses
from functools import cache

import pytest
import torch
from torch import Tensor

from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, group_advantage
from tokencredit.policy import policy_loss


@cache
def make_signals(seed: int = 0, groups: int = 4, group_size: int = 8, longest: int = 12) -> TokenSignals:
    """A random float64 batch with every optional column: groups of mixed outcomes, responses of unequal length, skewed entropies."""
    random = torch.Generator().manual_seed(seed)
    responses = groups * group_size
    lengths = torch.randint(1, longest + 1, (responses,), generator=random)
    group = torch.arange(groups).repeat_interleave(group_size)
    reward = torch.where(torch.rand(responses, generator=random) < 0.4, 1.0, -1.0).double()
    reward[::group_size] = 1.0
    reward[1::group_size] = -1.0
    tokens = int(lengths.sum())

    def uniform() -> Tensor:
        return torch.rand(tokens, generator=random, dtype=torch.float64)

    def near(values: Tensor) -> Tensor:
        return values + 0.3 * torch.randn(tokens, generator=random, dtype=torch.float64)

    old_logprob = -3 * uniform()
    response = torch.arange(responses).repeat_interleave(lengths)
    position = torch.cat([torch.arange(n) for n in lengths.tolist()])
    # Two ways through each group, which part after the second token.
    state = (group[response] * 2 + (response % 2) * (position > 1)) * longest + position
    of_state = torch.rand(2, 2 * groups * longest, generator=random, dtype=torch.float64)
    return TokenSignals(
        response=response,
        position=position,
        entropy=uniform().pow(6) * 1.2,
        old_logprob=old_logprob,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        logprob=near(old_logprob),
        ref_logprob=near(old_logprob),
        rollout_logprob=near(old_logprob),
        teacher_logprob=near(old_logprob),
        privileged_logprob=near(old_logprob),
        residual_norm=uniform(),
        attention_entropy=uniform(),
        value=of_state[0, state],
        information=of_state[1, state].pow(4) - 0.01,
        state=state,
        response_step=position // 3,
        kind=torch.randint(0, 7, (tokens,), generator=random),
        begun=(lengths // 3)[response],
        noise=uniform(),
        control_noise=uniform(),
        privileged_entropy=uniform().pow(2),
        contrast_logprob=near(old_logprob),
        hidden=torch.randn(tokens, 3, generator=random, dtype=torch.float64),
        uniqueness=uniform().pow(3),
        progress=0.3,
        entropy_history=torch.tensor([0.1, 0.15, 0.25, 0.18, 0.12], dtype=torch.float64),
    )


def with_equal_groups(signals: TokenSignals) -> TokenSignals:
    """The same batch, but group 2 is all right and group 3 all wrong: they have no advantage."""
    reward = signals.reward.masked_fill(signals.group == 2, 1.0).masked_fill(signals.group == 3, -1.0)
    return dataclasses.replace(signals, reward=reward, advantage=group_advantage(reward, signals.group))


def staged(name: str, signals: TokenSignals) -> TokenSignals:
    """What the trainer shows the method: no current policy at the rollout stage, the current policy's entropies at the update stage."""
    if METHODS[name].stage == "rollout":
        return dataclasses.replace(signals, logprob=None)
    return dataclasses.replace(signals, entropy=current_entropy(signals))


def current_entropy(signals: TokenSignals) -> Tensor:
    return 0.8 * signals.entropy + 0.1 * signals.residual_norm


def loss_and_gradient(signals: TokenSignals, credit: TokenCredit, **options):
    """The loss, its gradient with respect to log-probs and (end to end) entropies, and the metrics."""
    logprob = signals.logprob.clone().requires_grad_()
    entropy = current_entropy(signals).clone().requires_grad_()
    options = {"max_response_tokens": 12} | options
    loss, metrics = policy_loss(logprob, signals, credit, entropy=entropy, **options)
    (loss + 0 * entropy.sum() + 0 * logprob.sum()).backward()
    return loss.detach(), torch.cat([logprob.grad, entropy.grad]), metrics


def gradient_of(name: str, signals: TokenSignals, params: dict | None = None, **options) -> Tensor:
    """The gradient that the method gives on this batch."""
    credit = assign(name, staged(name, signals), **(params or {}))
    return loss_and_gradient(signals, credit, **options)[1]


@pytest.fixture
def signals() -> TokenSignals:
    return make_signals()
