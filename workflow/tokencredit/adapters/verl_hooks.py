"""The part of ``TokenSignals`` that each hook of verl carries, the methods for which it suffices, and the functions that verl calls.

This module needs no verl.

An *advantage estimator* sees rewards and groups of the whole batch. A *policy loss* sees log-probs and advantages of one micro-batch. A
*trainer*, a subclass of verl's, also reads old log-probs and entropies, which verl has stored for the whole batch. No list says
which methods fit: each is run on a small batch where reading a column that the hook does not carry is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tokencredit.adapters.padded import signals_from_padded, to_padded
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, group_advantage
from tokencredit.credit.segments import segment_sum
from tokencredit.errors import UserError
from tokencredit.policy import policy_loss

Hook = Literal["estimator", "loss", "trainer"]

COLUMNS = frozenset(column.name for column in fields(TokenSignals))
_PLACES = frozenset({"response", "position"})
_REWARDS = _PLACES | {"reward", "advantage", "group"}
CARRIES: dict[Hook, frozenset[str]] = {
    "estimator": _REWARDS,
    "loss": _PLACES | {"old_logprob", "logprob", "noise", "progress"},
    "trainer": _REWARDS | {"entropy", "old_logprob", "ref_logprob", "rollout_logprob"},
}
TITLES: dict[Hook, str] = {"estimator": "an advantage estimator", "loss": "a policy loss", "trainer": "the trainer"}

# What a hook can do with a credit, beside its advantages and its mask.
_FORMS: dict[Hook, frozenset[str]] = {
    "estimator": frozenset(),
    "loss": frozenset({"clip_low", "clip_high", "ratio", "ratio_power", "surrogate", "old_kl_coef"}),
    "trainer": frozenset(),
}
_CONDITIONS = {
    "ref_logprob": "a reference policy, `actor_rollout_ref.actor.use_kl_loss=True`",
    "rollout_logprob": "`actor_rollout_ref.rollout.calculate_log_probs=True`, verl's default",
    "progress": "a fixed `progress`",
}


class NotCarriedError(UserError):
    """A method reads a column that the hook does not carry."""


def support(name: str) -> str:
    """The hooks that the method of that name fits, with their conditions, as a line of a table; or "no: …"."""
    hooks: tuple[Hook, ...] = ("estimator", "trainer", "loss")
    usable = [hook for hook in hooks if obstacle(name, hook, progress=0.0) is None]
    if "estimator" in usable:
        usable.remove("trainer")
    if not usable:
        reason = str(obstacle(name, "loss" if METHODS[name].stage == "update" else "trainer"))
        return f"no: {reason.partition(', which')[0]}"
    return "; ".join(hook + _condition(name, hook) for hook in usable)


def obstacle(name: str, hook: Hook, progress: float | None = None, **params: Any) -> str | None:
    """Why the method of that name with these parameters does not fit the hook, as half a sentence; None where it fits.

    ``progress``: the fixed value that a policy loss is given, as verl tells it no step.
    Raises ``UserError`` for a method or a parameter that is not known.
    """
    if name in METHODS and METHODS[name].stage == "update" and hook != "loss":
        return "it acts before every update, and this hook is called once a step"
    try:
        credit = assign(name, _example(hook, progress), **params)
    except NotCarriedError as lacking:
        return str(lacking)
    for column in fields(TokenCredit):
        if column.name in ("advantage", "keep") or column.name in _FORMS[hook]:
            continue
        value = getattr(credit, column.name)
        if isinstance(value, Tensor) or value != column.default:
            if column.name == "entropy_coef":
                return "its entropy bonus is verl's own to add, `actor_rollout_ref.actor.entropy_coeff`"
            return f"{TITLES[hook]} cannot set `{column.name}` of the loss, and its credit does"
    return None


def credit_advantages(
    name: str, hook: Hook, rewards: Tensor, mask: Tensor, index: np.ndarray, params: dict[str, Any], **columns: Tensor
) -> Tensor:
    """[B, T]: the advantages that the method gives to a whole batch of B responses, 0 where it leaves a token out.

    ``rewards`` [B, T], of which each response's is the sum; ``mask`` [B, T]; ``index`` [B]: equal for responses of one prompt;
    ``columns`` [B, T]: "entropy", "old_logprob" and optional ones, where the hook carries them. A response is right where its reward is
    above 0. The group advantage has the unbiased deviation and no epsilon; groups of equal rewards and groups of one have none.
    """
    reward = rewards.sum(dim=-1)
    group = torch.from_numpy(np.unique(index, return_inverse=True)[1]).to(rewards.device)
    nothing = {name: torch.full_like(rewards, torch.nan) for name in ("entropy", "old_logprob") if name not in columns}
    signals = signals_from_padded(
        mask, reward=reward, advantage=group_advantage(reward, group), group=group, **nothing, **columns
    )
    try:
        credit = assign(name, _VIEWS[hook].of(signals), **params)
    except NotCarriedError as lacking:
        raise _unfit(name, hook, str(lacking)) from lacking
    return to_padded(credit.advantage * credit.keep, mask)


def advantage_estimator(name: str, **params: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """The method as verl calls an advantage estimator: advantages and returns, the same [B, T], from rewards and groups.

    Raises ``UserError`` for a method that does not fit; the function that is returned raises it where verl has put a KL penalty into the
    rewards, which then no longer say whether a response is right.
    """
    require(name, "estimator", **params)

    def estimate(
        token_level_rewards: Tensor,
        response_mask: Tensor,
        index: np.ndarray | None = None,
        config: Any = None,
        reward_baselines: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        if index is None:
            raise UserError(f"verl, estimator {name!r}: the batch has no `uid`, so its groups are not known.")
        if config is not None:
            refuse_kl_in_reward(config)
        advantages = credit_advantages(name, "estimator", token_level_rewards, response_mask, index, params)
        return advantages, advantages

    return estimate


def policy_loss_function(
    name: str, aggregate: Callable[..., Tensor], progress: float | None = None, **params: Any
) -> Callable[..., tuple[Tensor, dict[str, float]]]:
    """The method as verl calls a policy loss: the loss of one micro-batch from its log-probs and advantages, and metrics.

    Advantages are those of verl's batch, one per token. Clip bounds are the method's own where it has some, else the actor's
    ``clip_ratio_low`` and ``clip_ratio_high``; there is no dual clip. ``rollout_is_weights`` multiply each token's term. A random choice
    is drawn from torch's generator of the process. ``aggregate``: verl's ``agg_loss``, which normalises by the mini-batch of all
    processes as ``loss_agg_mode`` says, so that the losses of micro-batches add up.

    Raises ``UserError`` for a method that does not fit. For one of the update stage, whose statistics belong to the whole mini-batch, the
    function that is returned raises it where a micro-batch is less than that.
    """
    require(name, "loss", progress, **params)

    def loss_of(
        old_log_prob: Tensor,
        log_prob: Tensor,
        advantages: Tensor,
        response_mask: Tensor,
        loss_agg_mode: str = "token-mean",
        config: Any = None,
        rollout_is_weights: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        if config is None:
            raise UserError(f"verl, loss {name!r}: it needs the actor's configuration, which is None.")
        if METHODS[name].stage == "update":
            _require_whole_mini_batch(name, len(response_mask), config.global_batch_info)
        # A response without tokens, such as verl adds to fill a batch, would count in a mean over responses.
        some = response_mask.bool().any(dim=1)
        mask = response_mask[some].bool()
        signals = _loss_signals(old_log_prob[some], log_prob[some], advantages[some], mask, progress)
        credit = assign(name, _LossView.of(signals, given=advantages[some][mask]), **params)
        if rollout_is_weights is not None:
            weight = rollout_is_weights[some][mask]
            credit = replace(credit, advantage=credit.advantage * weight, old_kl_coef=credit.old_kl_coef * weight)
        low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
        high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
        by_response = loss_agg_mode == "seq-mean-token-mean"
        loss, metrics = policy_loss(
            log_prob[some][mask],
            signals,
            credit,
            clip_low=low,
            clip_high=high,
            aggregation="sequence-mean" if by_response else "token-mean",
        )
        # The mean given to every token has the aggregate that the terms have: all modes but one weigh the tokens of a batch equally.
        loss = aggregate(
            loss_mat=loss.expand(response_mask.shape),
            loss_mask=response_mask,
            loss_agg_mode=loss_agg_mode,
            **config.global_batch_info,
        )
        return loss, {
            "actor/pg_clipfrac": float(metrics["clip_low_fraction"] + metrics["clip_high_fraction"]),
            "actor/kl_old": float(metrics["kl_old"]),
        }

    return loss_of


def require(name: str, hook: Hook, progress: float | None = None, **params: Any) -> None:
    """Raises ``UserError`` where the method does not fit the hook."""
    reason = obstacle(name, hook, progress, **params)
    if reason is not None:
        raise _unfit(name, hook, reason)


def refuse_kl_in_reward(algorithm: Any) -> None:
    """``algorithm``: that part of verl's configuration. Raises ``UserError`` where its rewards hold a KL penalty."""
    if algorithm["use_kl_in_reward"]:
        raise UserError(
            "verl: algorithm.use_kl_in_reward is True; it must be False, as a reward with a KL penalty in it does not say whether the "
            "response is right. The penalty in the loss is actor_rollout_ref.actor.use_kl_loss=True."
        )


class _View(TokenSignals):
    """Signals of which only the columns that a hook carries can be read."""

    hook: ClassVar[Hook]

    @classmethod
    def of(cls, signals: TokenSignals, **more: Tensor) -> _View:
        return cls(**{column.name: getattr(signals, column.name) for column in fields(signals)}, **more)

    def __post_init__(self) -> None:
        """Nothing to check: the columns are those of signals."""

    def __getattribute__(self, name: str) -> Any:
        if name not in COLUMNS:
            return super().__getattribute__(name)
        if name == "correct":
            return None  # verl hands over no verdict apart from the reward
        hook = type(self).hook
        if name not in CARRIES[hook]:
            raise NotCarriedError(f"it reads `{name}`, which verl does not hand to {TITLES[hook]}")
        value = super().__getattribute__(name)
        if value is None:
            raise NotCarriedError(f"it reads `{name}`, which {TITLES[hook]} has only with {_CONDITIONS[name]}")
        return value


class _EstimatorView(_View):
    hook = "estimator"


class _TrainerView(_View):
    hook = "trainer"


@dataclass(frozen=True)
class _LossView(_View):
    hook = "loss"
    given: Tensor | None = None  # [N] verl's advantages, which may differ between the tokens of a response

    @cached_property
    def token_advantage(self) -> Tensor:
        return self.given

    @cached_property
    def varied(self) -> Tensor:
        """Groups are not known here. Where rewards take two values, a group has an advantage exactly if each of its responses has one."""
        return segment_sum(self.given.abs(), self.response) > 0


_VIEWS: dict[Hook, type[_View]] = {"estimator": _EstimatorView, "loss": _LossView, "trainer": _TrainerView}


def _example(hook: Hook, progress: float | None) -> _View:
    """Two groups of a right and a wrong response of three tokens each, with every column that the hook carries."""
    mask = torch.ones(4, 3, dtype=torch.bool)
    values = torch.linspace(0.1, 1.2, 12).view(4, 3)
    reward = torch.tensor([1.0, -1.0, 1.0, -1.0])
    group = torch.tensor([0, 0, 1, 1])
    names = CARRIES[hook] & {"logprob", "ref_logprob", "rollout_logprob", "noise"}
    signals = signals_from_padded(
        mask,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        entropy=values,
        old_logprob=-values,
        progress=progress,
        **{name: values.flip(0) - 2 for name in names},
    )
    return _VIEWS[hook].of(signals, **({"given": signals.token_advantage} if hook == "loss" else {}))


def _loss_signals(
    old_logprob: Tensor, logprob: Tensor, advantages: Tensor, mask: Tensor, progress: float | None
) -> TokenSignals:
    """What a policy loss is given as signals; NaN for what it is not: rewards, groups, entropies."""
    nothing = torch.full_like(old_logprob, torch.nan)
    return signals_from_padded(
        mask,
        reward=nothing[:, 0],
        advantage=nothing[:, 0].to(advantages.dtype),
        group=torch.arange(len(mask), device=mask.device),
        entropy=nothing,
        old_logprob=old_logprob,
        logprob=logprob,
        noise=torch.rand_like(nothing),
        progress=progress,
    )


def _unfit(name: str, hook: Hook, reason: str) -> UserError:
    return UserError(f"verl: credit {name!r} cannot be {TITLES[hook]}: {reason}.")


def _require_whole_mini_batch(name: str, responses: int, batch: dict[str, Any]) -> None:
    whole = batch.get("global_batch_size")
    if whole is None or responses < int(whole):
        size = "of a size that verl has not told" if whole is None else f"of {int(whole)}"
        raise UserError(
            f"verl, loss {name!r}: its statistics belong to the whole mini-batch {size} responses, but this micro-batch has {responses}. "
            "Train with one data-parallel process and ppo_micro_batch_size_per_gpu = ppo_mini_batch_size * rollout.n, or use verl's own "
            "loss of that kind (clip_cov, kl_cov), which takes them from each micro-batch."
        )


def _condition(name: str, hook: Hook) -> str:
    conditions = [_CONDITIONS[column] for column in METHODS[name].columns if column in _CONDITIONS]
    if METHODS[name].stage == "update":
        conditions.append("the whole mini-batch in one micro-batch")
    return f", with {' and '.join(conditions)}" if conditions else ""
