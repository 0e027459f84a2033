"""The functions that verl calls, without verl: a method fits a hook exactly where the hook carries what it reads."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.adapters.verl_batches import Actor, Padded, padded_batch
from tokencredit.adapters.padded import signals_from_padded
from tokencredit.adapters.verl_hooks import (
    advantage_estimator,
    credit_advantages,
    obstacle,
    policy_loss_function,
    support,
)
from tokencredit.credit import METHODS, QUADRANTS, TokenCredit, TokenSignals, assign, group_advantage
from tokencredit.credit.registry import parameters_of
from tokencredit.errors import UserError
from tokencredit.policy import policy_loss

PAGE = Path("docs/adapters.md")
ESTIMATORS = ("grpo", "dapo", "dr-grpo", "psr", "nsr", "w-reinforce")
LOSSES = ("grpo", "dapo", "gspo", "gspo-token", "cispo", "clip-cov", "kl-cov")
TRAINERS = ("eapo", "hapo", "gtpo", "erpo", "tis", "phr", "plr", "nhr", "nlr")
MODES = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-sum-norm", "seq-mean-token-mean")


def fitting(hook: str) -> set[str]:
    return {name for name in METHODS if obstacle(name, hook) is None}


def flat(batch: Padded) -> TokenSignals:
    reward = batch.rewards.sum(1)
    group = torch.from_numpy(np.unique(batch.index, return_inverse=True)[1])
    return signals_from_padded(
        batch.response_mask,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        entropy=batch.entropy,
        old_logprob=batch.old_log_prob,
        ref_logprob=batch.ref_log_prob,
        rollout_logprob=batch.rollout_log_prob,
    )


def aggregate(
    loss_mat: Tensor,
    loss_mask: Tensor,
    loss_agg_mode: str,
    dp_size: int = 1,
    batch_num_tokens: int | None = None,
    global_batch_size: int | None = None,
    loss_scale_factor: int | None = None,
) -> Tensor:
    """What verl's documentation says of each mode, by loops."""
    rows = [(row, mask.bool()) for row, mask in zip(loss_mat, loss_mask, strict=True) if mask.any()]
    tokens, responses = batch_num_tokens or int(loss_mask.sum()), global_batch_size or len(rows)
    total = loss_mat.new_zeros(())
    for row, mask in rows:
        mean = loss_agg_mode == "seq-mean-token-mean"
        total = total + (row[mask].mean() if mean else row[mask].sum())
    scale = loss_scale_factor or loss_mask.shape[1]
    divisors = {"token-mean": tokens, "token-sum": 1, "seq-mean-token-sum-norm": responses * scale}
    return dp_size * total / divisors.get(loss_agg_mode, responses)


def loss_and_gradient(function: Callable, batch: Padded, config: Actor, **options) -> tuple[Tensor, Tensor]:
    arguments = batch.loss_arguments | {"log_prob": batch.log_prob.clone().requires_grad_()}
    loss, _ = function(**arguments, config=config, **options)
    (loss + 0 * arguments["log_prob"].sum()).backward()
    return loss.detach(), arguments["log_prob"].grad


def test_hooks_take_the_methods_whose_columns_they_carry() -> None:
    assert fitting("estimator") >= set(ESTIMATORS)
    assert fitting("loss") >= set(LOSSES)
    assert fitting("trainer") >= {*ESTIMATORS, *TRAINERS, *(f"eapo-without-{quadrant}" for quadrant in QUADRANTS)}
    assert obstacle("hoelderpo", "loss", progress=0.0) is None


@pytest.mark.parametrize(
    ("name", "hook", "reason"),
    [
        ("eapo", "estimator", "reads `entropy`"),
        ("tis", "estimator", "reads `rollout_logprob`"),
        ("gspo", "estimator", "cannot set `clip_low`"),
        ("dr-grpo", "loss", "reads `reward`"),
        ("forking", "loss", "reads `entropy`"),
        ("forking", "trainer", "before every update"),
        ("archer", "loss", "reads `ref_logprob`"),
        ("hoelderpo", "loss", "only with a fixed `progress`"),
        ("entroreg", "trainer", "actor.entropy_coeff"),
        ("arca", "trainer", "reads `residual_norm`"),
        ("iw-opd", "trainer", "reads `teacher_logprob`"),
    ],
)
def test_the_obstacle_is_named(name: str, hook: str, reason: str) -> None:
    assert reason in obstacle(name, hook)


def test_a_column_that_is_read_without_effect_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found out is the reading, not whether a value changed: a comparison with NaN would hide it."""

    def peeks(signals: TokenSignals, depth: int = 0) -> TokenCredit:
        if depth:
            signals.entropy.sum()
        return TokenCredit(signals.token_advantage, signals.every_token)

    monkeypatch.setitem(
        METHODS,
        "peeks",
        dataclasses.replace(METHODS["grpo"], name="peeks", function=peeks, parameters=parameters_of("peeks", peeks)),
    )
    assert obstacle("peeks", "estimator") is None
    assert "reads `entropy`" in obstacle("peeks", "estimator", depth=1)
    with pytest.raises(UserError, match="'peeks' cannot be an advantage estimator: it reads `entropy`"):
        advantage_estimator("peeks", depth=1)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_gives_the_credit_of_the_method(name: str) -> None:
    batch = padded_batch(1)
    advantages, returns = advantage_estimator(name)(
        token_level_rewards=batch.rewards,
        response_mask=batch.response_mask,
        config={"use_kl_in_reward": False},
        index=batch.index,
    )
    credit = assign(name, flat(batch))
    assert torch.equal(advantages, returns)
    assert torch.equal(advantages[batch.response_mask.bool()], credit.advantage * credit.keep)
    assert not advantages[~batch.response_mask.bool()].any()
    assert advantages.abs().sum() > 0


@pytest.mark.parametrize("name", TRAINERS)
def test_the_trainer_gives_the_credit_of_the_method(name: str) -> None:
    batch = padded_batch(2)
    advantages = credit_advantages(
        name,
        "trainer",
        batch.rewards,
        batch.response_mask,
        batch.index,
        {},
        entropy=batch.entropy,
        old_logprob=batch.old_log_prob,
        ref_logprob=batch.ref_log_prob,
        rollout_logprob=batch.rollout_log_prob,
    )
    credit = assign(name, flat(batch))
    assert torch.equal(advantages[batch.response_mask.bool()], credit.advantage * credit.keep)
    assert advantages.abs().sum() > 0


def test_parameters_reach_the_method() -> None:
    batch = padded_batch(3)
    arguments = {"token_level_rewards": batch.rewards, "response_mask": batch.response_mask, "index": batch.index}
    advantages, _ = advantage_estimator("w-reinforce", lam=0.25)(**arguments)
    assert set(advantages.unique().tolist()) == {-1.0, 0.0, 0.25}
    with pytest.raises(UserError, match="no parameter 'lamb'"):
        advantage_estimator("w-reinforce", lamb=0.25)


def test_what_an_estimator_cannot_work_with_is_said() -> None:
    batch = padded_batch()
    arguments = {"token_level_rewards": batch.rewards, "response_mask": batch.response_mask}
    with pytest.raises(UserError, match="no `uid`"):
        advantage_estimator("grpo")(**arguments)
    with pytest.raises(UserError, match="use_kl_in_reward"):
        advantage_estimator("grpo")(**arguments, index=batch.index, config={"use_kl_in_reward": True})
    with pytest.raises(UserError, match="'eapo' cannot be an advantage estimator: it reads `entropy`"):
        advantage_estimator("eapo")
    with pytest.raises(UserError, match=r"'erpo' cannot be the trainer: it reads `ref_logprob`.*use_kl_loss=True"):
        credit_advantages(
            "erpo",
            "trainer",
            batch.rewards,
            batch.response_mask,
            batch.index,
            {},
            entropy=batch.entropy,
            old_logprob=batch.old_log_prob,
        )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [*LOSSES, "hoelderpo"])
def test_the_loss_is_that_of_the_method_under_every_aggregation(name: str, mode: str) -> None:
    """Against ``policy_loss`` with each response's terms weighed as the mode says: all modes are means or sums over responses."""
    torch.manual_seed(0)
    batch = padded_batch(4)
    batch = dataclasses.replace(batch, advantages=batch.advantages[:, :1].expand_as(batch.advantages).contiguous())
    progress = 0.25 if name == "hoelderpo" else None
    # Every eligible token is chosen, or none: nothing is left to chance.
    params = {"clip-cov": {"r": 1.0, "low": 0.05}, "kl-cov": {"k": 0.3}}.get(name, {})
    responses = len(batch.response_mask)
    config = Actor(global_batch_info={"global_batch_size": responses - 1})
    loss, gradient = loss_and_gradient(
        policy_loss_function(name, aggregate, progress, **params), batch, config, loss_agg_mode=mode
    )

    some = batch.rows(0, responses - 1)
    mask = some.response_mask.bool()
    logprob = some.log_prob.clone().requires_grad_()
    whole = dataclasses.replace(
        flat(some),
        advantage=some.advantages[:, 0],
        logprob=some.log_prob[mask],
        ref_logprob=None,
        noise=torch.rand(int(mask.sum())),
        progress=progress,
    )
    aggregation = {"token-mean": "token-mean", "seq-mean-token-mean": "sequence-mean"}.get(mode, "constant")
    expected, _ = policy_loss(
        logprob[mask],
        whole,
        assign(name, whole, **params),
        clip_low=0.2,
        clip_high=0.28,
        aggregation=aggregation,
        max_response_tokens=1,
    )
    expected = expected * {"token-sum": responses - 1, "seq-mean-token-sum-norm": 1 / batch.response_mask.shape[1]}.get(
        mode, 1.0
    )
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient[:-1], logprob.grad, atol=1e-12, rtol=1e-12)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["grpo", "gspo", "gspo-token", "cispo"])
def test_micro_batches_and_processes_add_up(name: str, mode: str) -> None:
    """Three micro-batches, of which one holds nothing but the filling row, on two processes whose gradients verl averages."""
    batch = padded_batch(5)
    function = policy_loss_function(name, aggregate)
    info = {
        "batch_num_tokens": int(batch.response_mask.sum()),
        "global_batch_size": len(batch.response_mask),
        "loss_scale_factor": 9,
    }
    whole = Actor(global_batch_info={"dp_size": 1, **info})
    part = Actor(global_batch_info={"dp_size": 2, **info})
    loss, gradient = loss_and_gradient(function, batch, whole, loss_agg_mode=mode)
    cuts = [(0, 7), (7, 16), (16, 17)]
    parts = [loss_and_gradient(function, batch.rows(*cut), part, loss_agg_mode=mode) for cut in cuts]
    torch.testing.assert_close(sum(part[0] for part in parts) / 2, loss, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]) / 2, gradient, atol=1e-12, rtol=1e-12)


def test_importance_weights_are_those_of_tis() -> None:
    batch = padded_batch(6)
    whole = dataclasses.replace(flat(batch), logprob=batch.log_prob[batch.response_mask.bool()], ref_logprob=None)
    advantages = torch.zeros_like(batch.advantages).masked_scatter(batch.response_mask.bool(), whole.token_advantage)
    weights = (batch.old_log_prob - batch.rollout_log_prob).exp().clamp(max=2.0)
    loss, gradient = loss_and_gradient(
        policy_loss_function("grpo", aggregate),
        dataclasses.replace(batch, advantages=advantages),
        Actor(),
        rollout_is_weights=weights,
    )
    logprob = batch.log_prob.clone().requires_grad_()
    expected, _ = policy_loss(logprob[batch.response_mask.bool()], whole, assign("tis", whole, cap=2.0))
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(gradient, logprob.grad, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_importance_weights_multiply_every_term(name: str) -> None:
    """The drift penalty of KL-Cov too. Clip-Cov has nothing to draw here."""
    batch = padded_batch(9)
    params = {"clip-cov": {"low": 50.0, "high": 51.0}}.get(name, {})
    function = policy_loss_function(name, aggregate, **params)
    config = Actor(global_batch_info={"global_batch_size": len(batch.response_mask)})
    plain = loss_and_gradient(function, batch, config)[1]
    double = loss_and_gradient(function, batch, config, rollout_is_weights=torch.full_like(batch.log_prob, 2.0))[1]
    torch.testing.assert_close(double, 2 * plain, atol=1e-15, rtol=1e-12)
    assert plain.abs().sum() > 0


@pytest.mark.parametrize("name", ["clip-cov", "kl-cov"])
def test_statistics_of_a_micro_batch_are_refused(name: str) -> None:
    batch = padded_batch(7)
    function = policy_loss_function(name, aggregate)
    responses = len(batch.response_mask)
    loss, _ = loss_and_gradient(function, batch, Actor(global_batch_info={"global_batch_size": responses}))
    assert torch.isfinite(loss)
    with pytest.raises(UserError, match=f"whole mini-batch of {responses + 1} responses.*has {responses}"):
        function(**batch.loss_arguments, config=Actor(global_batch_info={"global_batch_size": responses + 1}))
    with pytest.raises(UserError, match="a size that verl has not told"):
        function(**batch.loss_arguments, config=Actor())


def test_what_a_loss_cannot_work_with_is_said() -> None:
    batch = padded_batch()
    with pytest.raises(UserError, match="needs the actor's configuration"):
        policy_loss_function("grpo", aggregate)(**batch.loss_arguments)
    with pytest.raises(UserError, match="'dr-grpo' cannot be a policy loss: it reads `reward`"):
        policy_loss_function("dr-grpo", aggregate)


def test_one_bound_is_enough() -> None:
    batch = padded_batch(8)
    function = policy_loss_function("grpo", aggregate)
    one = loss_and_gradient(function, batch, Actor(clip_ratio=0.1, clip_ratio_low=None, clip_ratio_high=None))
    two = loss_and_gradient(function, batch, Actor(clip_ratio_low=0.1, clip_ratio_high=0.1))
    other = loss_and_gradient(function, batch, Actor(clip_ratio_low=0.1, clip_ratio_high=0.3))
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[1], other[1])


def test_registration_names_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a registry of verl's shape; ``test_verl`` has the true one where verl is installed."""
    estimators: dict[str, Callable] = {"grpo": print}
    losses: dict[str, Callable] = {}
    core = ModuleType("verl.trainer.ppo.core_algos")
    core.ADV_ESTIMATOR_REGISTRY, core.POLICY_LOSS_REGISTRY, core.agg_loss = estimators, losses, aggregate
    core.register_adv_est = lambda name: lambda function: estimators.setdefault(name, function)
    core.register_policy_loss = lambda name: lambda function: losses.setdefault(name, function)
    for name in ("verl", "verl.trainer", "verl.trainer.ppo"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "verl.trainer.ppo.core_algos", core)
    monkeypatch.delitem(sys.modules, "tokencredit.adapters.verl", raising=False)
    adapter = importlib.import_module("tokencredit.adapters.verl")
    try:
        assert set(estimators) >= {"grpo", *(f"tokencredit-{name}" for name in ESTIMATORS)}
        assert set(losses) >= {f"tokencredit-{name}" for name in LOSSES}
        adapter.register_loss("hoelderpo", name="mine", start=1.0, end=1.0, progress=0.0)
        assert "mine" in losses
        with pytest.raises(UserError, match="'tokencredit-psr' already"):
            adapter.register_estimator("psr", every_group=True)
        with pytest.raises(UserError, match="'hoelderpo' cannot be a policy loss: it reads `progress`"):
            adapter.register_loss("hoelderpo")
    finally:
        sys.modules.pop("tokencredit.adapters.verl")


def test_the_page_says_what_fits() -> None:
    table = (
        PAGE.read_text(encoding="utf-8").split("\n## verl\n")[1].split("\n### Which methods\n")[1].split("\n### ")[0]
    )
    rows = re.findall(r"^\| (.+) \| (`.+`) \|$", table, re.MULTILINE)
    listed = [(name, answer) for answer, names in rows for name in names.strip("`").split("`, `")]
    assert sorted(listed) == sorted((name, support(name)) for name in METHODS), f"{PAGE}, section verl"
