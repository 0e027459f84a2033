"""One step of updates: micro-batches, left-out responses and the stage of the credit change nothing that they must not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from accelerate import Accelerator

from tests.models import tiny_qwen3
from tokencredit.config import Base, Training
from tokencredit.credit import METHODS, Method, TokenCredit, TokenSignals, assign, group_advantage
from tokencredit.policy import Scorer, Sequence, policy_loss
from tokencredit.train.update import Credit, Updater

BASE = Base(clip_low=0.2, clip_high=0.28, kl_coef=0.0, aggregation="token-mean", dynamic_sampling=False, max_refills=0)


def training(**changes: object) -> Training:
    values = {
        "datasets": ["d"],
        "methods": ["grpo"],
        "seeds": [0],
        "steps": 10,
        "prompts_per_step": 4,
        "prompts_per_update": 2,
        "group_size": 4,
        "sampling": {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 8, "max_response_tokens": 8},
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "grad_clip": 1.0,
        "micro_batch_tokens": 10_000,
        "mixed_precision": "no",
        "checkpoint_every": 1,
        "curve": {"benchmark": "b", "every": 1, "samples": 1, "problems": 1, "temperature": 1.0, "top_p": 1.0},
        "rollouts": {"every": 1, "prompts": 1},
    }
    return Training.model_validate(values | changes)


def batch(scorer: Scorer) -> tuple[list[Sequence], TokenSignals]:
    random = torch.Generator().manual_seed(0)

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(
            torch.randint(1, 23, (int(torch.randint(low, high, (1,), generator=random)),), generator=random).tolist()
        )

    sequences = [Sequence(tokens(2, 5), tokens(2, 9)) for _ in range(16)]
    group = torch.arange(4).repeat_interleave(4)
    reward = torch.tensor([1.0, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, 1])
    old_logprob, entropy = scorer.score(sequences, 1000)
    lengths = torch.tensor([len(sequence.response) for sequence in sequences])
    signals = TokenSignals(
        response=torch.arange(16).repeat_interleave(lengths),
        position=torch.cat([torch.arange(length) for length in lengths.tolist()]),
        entropy=entropy,
        old_logprob=old_logprob,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
    )
    return sequences, signals


def weights_after(name: str = "eapo", base: Base = BASE, **changes: object) -> tuple[torch.Tensor, dict[str, float]]:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(**changes), base, Accelerator(cpu=True))
    metrics, _ = updater.step(1, sequences, signals, Credit(name, {}))
    return torch.cat([parameter.detach().flatten() for parameter in scorer.parameters()]), metrics


@pytest.mark.parametrize("name", ["grpo", "eapo", "phr"])
def test_the_micro_batch_budget_changes_nothing(name: str) -> None:
    whole, metrics = weights_after(name)
    split, split_metrics = weights_after(name, micro_batch_tokens=20)
    torch.testing.assert_close(whole, split, atol=1e-8, rtol=0)
    assert metrics == pytest.approx(split_metrics, abs=1e-6)
    assert metrics["updates"] == 2


def test_leaving_out_responses_without_credit_leaves_the_gradient_as_it_is() -> None:
    """The minibatch gradient, computed on the active responses only, equals the plain gradient of all of them."""
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    credit = assign("nhr", signals)
    logprob, _ = scorer(sequences)
    policy_loss(logprob, signals, credit)[0].backward()
    plain = [parameter.grad.clone() for parameter in scorer.parameters()]
    scorer.zero_grad()

    seen: list[torch.Tensor] = []
    forwards: list[int] = []
    scorer.register_forward_pre_hook(lambda _, arguments: forwards.append(len(arguments[0])))
    updater = Updater(scorer, training(grad_clip=1e9), BASE, Accelerator(cpu=True))
    updater.optimizer.step = lambda: seen.extend(parameter.grad.clone() for parameter in scorer.parameters())
    updater.update(sequences, signals, credit)
    assert sum(forwards) < len(sequences)
    for obtained, expected in zip(seen, plain, strict=True):
        torch.testing.assert_close(obtained, expected, atol=1e-10, rtol=0)


def test_a_step_whose_groups_are_all_equal_moves_nothing() -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    before = [parameter.detach().clone() for parameter in scorer.parameters()]
    updater = Updater(scorer, training(), BASE, Accelerator(cpu=True))
    nothing = assign("grpo", dataclasses.replace(signals, advantage=torch.zeros(16)))
    metrics = updater.update(sequences, signals, nothing)
    assert metrics["grad_norm"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, scorer.parameters(), strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 2e-2},
        {"weight_decay": 0.5},
        {"adam_beta1": 0.5},
        {"adam_beta2": 0.5},
        {"grad_clip": 1e-3},
        {"prompts_per_update": 4},
        {"warmup_steps": 10},
    ],
)
def test_every_option_of_the_optimiser_acts(changes: dict[str, object]) -> None:
    plain, _ = weights_after()
    changed, _ = weights_after(**changes)
    assert not torch.allclose(plain, changed, atol=1e-9)


def test_warm_up_is_linear_in_steps() -> None:
    updater = Updater(Scorer(tiny_qwen3()), training(warmup_steps=4), BASE, Accelerator(cpu=True))
    assert [updater.learning_rate(step) for step in (1, 2, 4, 9)] == pytest.approx([0.25e-2, 0.5e-2, 1e-2, 1e-2])


def test_a_method_of_the_update_stage_sees_the_policy_of_its_own_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credit is asked for once per update, with that minibatch's log-probs under the weights of then."""
    seen: list[TokenSignals] = []

    def watching(signals: TokenSignals, scale: float = 1.0) -> TokenCredit:
        seen.append(signals)
        return TokenCredit(scale * signals.token_advantage, signals.every_token)

    declared = Method("watching", watching, "update", ("logprob",), {"scale": 1.0}, "a test", "paper", "credit.grpo")
    monkeypatch.setitem(METHODS, "watching", declared)
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(), BASE, Accelerator(cpu=True))
    metrics, credit = updater.step(1, sequences, signals, Credit("watching", {"scale": 2.0}))
    assert len(seen) == metrics["updates"] == 2
    torch.testing.assert_close(seen[0].logprob, seen[0].old_logprob)
    assert (seen[1].logprob - seen[1].old_logprob).abs().max() > 1e-4
    assert torch.equal(credit.advantage, 2 * signals.token_advantage)
