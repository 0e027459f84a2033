"""The credit functions inside TRL: a ``GRPOTrainer`` whose loss is this package's.

TRL samples, rewards, shuffles, cuts micro-batches, optimises and logs. Four things are done here, in this order of a step:

1. beside the generation batch, one pass without gradient gives old log-probs and entropies, before TRL shuffles and cuts;
2. the batch of all processes becomes ``TokenSignals``, so that a group is whole wherever its responses are;
3. the credit is assigned to the generation batch (a method of the rollout stage) or, from one more pass without gradient at the start of
   every accumulation window, to the optimiser batch (a method of the update stage);
4. the loss of a micro-batch is ``policy_loss`` of its tokens, normalised by the optimiser batch of all processes.

Written against TRL 1.16, of which it uses private methods; ``tests/adapters`` holds it to the installed version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from tokencredit.adapters.padded import signals_from_padded
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign
from tokencredit.errors import UserError
from tokencredit.policy import policy_loss
from tokencredit.policy.loss import Aggregation
from tokencredit.seeds import derive_seed, uniforms

AGGREGATIONS: dict[str, Aggregation] = {"grpo": "sequence-mean", "dapo": "token-mean", "dr_grpo": "constant"}

CONDITIONS = {
    "ref_logprob": "`beta` above 0",
    "rollout_logprob": "vLLM, or a `rollout_func` that returns log-probs",
}
MISSING = {
    "teacher_logprob": "TRL scores with the policy and its reference, not with another model",
    "privileged_logprob": "TRL scores under the prompt that it sampled from",
    "privileged_entropy": "TRL scores under the prompt that it sampled from",
    "contrast_logprob": "TRL scores under the prompt that it sampled from",
    "residual_norm": "TRL's scoring returns log-probs, not the states with and without the adapter",
    "attention_entropy": "TRL's scoring returns log-probs, not attention",
    "hidden": "TRL's scoring returns log-probs, not states",
    "uniqueness": "TRL's scoring returns log-probs, not whole distributions",
    "value": "TRL samples a step's responses once and continues none of them",
    "information": "TRL samples a step's responses once and continues none of them",
    "begun": "TRL samples from prompts, and goes on from no response",
    "kind": "the embedded tasks alone know it",
    "entropy_history": "no checkpoint of TRL's keeps the entropies of earlier steps",
}


def support(name: str) -> str:
    """Whether the method of that name can be used inside TRL, as a line of a table: "yes", "yes, with …" or what it needs."""
    method = METHODS[name]
    for column in method.columns:
        if column in MISSING:
            return f"no: it needs `{column}`"
    conditions = [CONDITIONS[column] for column in method.columns if column in CONDITIONS]
    if method.stage == "update":
        conditions.append("`steps_per_generation` = `gradient_accumulation_steps`")
    return "yes" + (f", with {' and '.join(conditions)}" if conditions else "")


class CreditGRPOTrainer(GRPOTrainer):
    """TRL's GRPO with credit for each token.

    ``credit``: a name of ``METHODS`` with parameters ``credit_params``, or a function ``TokenSignals -> TokenCredit``, which acts at the
    rollout stage. All other arguments are ``GRPOTrainer``'s, and ``args`` must be given: ``epsilon``, ``epsilon_high``, ``beta`` and
    ``loss_type`` ("grpo", "dapo" or "dr_grpo") are read from it, where the credit does not bring its own. Advantages are TRL's. A response
    is right where the weighted sum of its rewards is above 0; one that no function rewarded leaves its group and the loss.

    Raises ``UserError`` for a method whose columns TRL cannot give, for parts of TRL's loss that this one does not have, and where an
    optimiser batch would not be part of one generation batch.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any,
        args: GRPOConfig,
        *,
        credit: str | Callable[[TokenSignals], TokenCredit],
        credit_params: dict[str, Any] | None = None,
        rollout_func: Callable[..., dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        _check_loss(args)
        self._credit = _function(credit, credit_params or {}, args, rollout_func is not None)
        self._at_update = isinstance(credit, str) and METHODS[credit].stage == "update"
        _check_batches(args, self._at_update)
        super().__init__(model, reward_funcs, args, rollout_func=rollout_func, **kwargs)
        if self.aux_loss_enabled:
            raise UserError(
                "CreditGRPOTrainer: the router loss of mixtures is not built; set router_aux_loss_coef=0.0."
            )
        self._generations: dict[str, _Batch] = {}  # the newest, by mode
        self._window: _Batch  # the optimiser batch of the micro-batch under way

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        self._rewards = super()._calculate_rewards(*args, **kwargs)
        return self._rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if "pixel_values" in output:
            raise UserError("CreditGRPOTrainer: text only; this batch has images.")
        rows = torch.arange(len(output["advantages"]), device=output["advantages"].device)
        # Survives TRL's shuffle: the response's place in the generation batch of all processes.
        output["generation_row"] = rows + len(rows) * self.accelerator.process_index
        self._generations[self._mode] = self._generation(output)
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if self._mode == "eval" or self._step % self._parts == 0:
            self._window = self._optimiser_batch()
        batch = self._window
        logprob, entropy = self._score(model, inputs)
        place = batch.place[inputs["generation_row"], : logprob.shape[1]]
        mask = place >= 0
        rows, logprob, entropy = place[mask], logprob[mask], entropy[mask]
        signals = batch.signals
        if "old_per_token_logps" not in inputs:
            # TRL knows that the policy has not moved since it sampled. The ratio is then 1 without the rounding of another pass.
            signals = dataclasses.replace(signals, old_logprob=signals.old_logprob.index_put((rows,), logprob.detach()))
        loss, metrics = policy_loss(
            logprob,
            signals,
            batch.credit,
            clip_low=self.epsilon_low,
            clip_high=self.epsilon_high,
            kl_coef=self.beta,
            aggregation=AGGREGATIONS[self.loss_type],
            max_response_tokens=self.max_completion_length,
            entropy=entropy,
            rows=rows,
        )
        metrics["entropy"] = entropy.detach().sum() / max(1, len(signals.response))
        metrics["kept"] = batch.credit.keep[rows].sum() / max(1, len(signals.response))
        self._record(metrics)
        # Processes average their gradients; these losses add up.
        return loss * self.accelerator.num_processes

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    @property
    def _parts(self) -> int:
        """Micro-batches of an optimiser batch."""
        return self.args.gradient_accumulation_steps if self._mode == "train" else 1

    def _generation(self, output: dict[str, Any]) -> _Batch:
        """The generation batch of all processes, with its credit if the method is one of the rollout stage."""
        with torch.no_grad():
            logprob, entropy = self._score(self.model, output, chunk=True)
        group_size = self.num_generations if self._mode == "train" else self.num_generations_eval
        reward, scored = _total_reward(self._rewards, self.reward_weights, group_size)
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        mask = self._gathered(mask).bool() & scored[:, None]
        columns = {}
        if "ref_per_token_logps" in output:
            columns["ref_logprob"] = self._gathered(output["ref_per_token_logps"])
        if "sampling_per_token_logps" in output:
            # As in TRL, a token that the sampler could not score counts as one on which both agree.
            sampled = output["sampling_per_token_logps"]
            columns["rollout_logprob"] = self._gathered(sampled.where(~sampled.isnan(), logprob.to(sampled.dtype)))
        signals = signals_from_padded(
            mask,
            reward=reward,
            advantage=self.accelerator.gather(output["advantages"]),
            group=torch.arange(len(reward), device=reward.device) // group_size,
            entropy=self._gathered(entropy),
            old_logprob=self._gathered(logprob),
            noise=self._noise(mask, "credit noise"),
            control_noise=self._noise(mask, "control noise"),
            progress=self.state.global_step / max(1, self.state.max_steps),
            **columns,
        )
        place = torch.full(mask.shape, -1, device=mask.device)
        place[mask] = torch.arange(len(signals.response), device=mask.device)
        return _Batch(signals, place, None if self._at_update else self._credit(signals))

    def _optimiser_batch(self) -> _Batch:
        """What one step of the optimiser learns from, on all processes, with its credit."""
        whole = self._generations[self._mode]
        if self._mode == "eval":
            current = dataclasses.replace(whole.signals, logprob=whole.signals.old_logprob)
            return _Batch(current, whole.place, whole.credit or self._credit(current))
        first = self._step % self.args.steps_per_generation
        slices = self._buffered_inputs[first : first + self._parts]
        responses = self.accelerator.gather(torch.cat([part["generation_row"] for part in slices]))
        signals, rows = whole.signals.select(responses.sort().values)
        moved = torch.full((len(whole.signals.response) + 1,), -1, device=rows.device)
        moved[rows] = torch.arange(len(rows), device=rows.device)
        place = moved[whole.place]  # -1, no token, takes the last entry, which is -1
        if whole.credit is not None:
            return _Batch(signals, place, whole.credit.select(rows))
        with torch.no_grad():
            scores = [self._score(self.model, part) for part in slices]
        where = place[responses]
        there = where >= 0
        logprob, entropy = (self._gathered(torch.cat(values))[there] for values in zip(*scores, strict=True))
        order = where[there].argsort()
        current = dataclasses.replace(signals, logprob=logprob[order], entropy=entropy[order])
        return _Batch(current, place, self._credit(current))

    def _score(self, model: Any, inputs: dict[str, Any], chunk: bool = False) -> tuple[Tensor, Tensor]:
        """[b, T] log-probs and entropies, nats at the sampling temperature; ``chunk``: in batches of the size of a micro-batch."""
        sizes = {"train": self.args.per_device_train_batch_size, "eval": self.args.per_device_eval_batch_size}
        logprob, entropy, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            inputs["completion_ids"].shape[1],
            batch_size=sizes[self._mode] if chunk else None,
            compute_entropy=True,
        )
        return logprob, entropy

    def _gathered(self, values: Tensor) -> Tensor:
        """[b, T] of this process -> [B, T] of all, wide enough for the longest completion; 0 is put where there is no token."""
        return self.accelerator.gather(self.accelerator.pad_across_processes(values, dim=1))

    def _noise(self, mask: Tensor, salt: str) -> Tensor:
        """[B, T] in [0, 1): a hash of the seed, the step, the response and the token's place."""
        seeds = [derive_seed(self.args.seed, salt, self.state.global_step, row) for row in range(len(mask))]
        noise = uniforms(np.array(seeds, np.uint64)[:, None], np.arange(mask.shape[1]))
        return torch.from_numpy(noise).to(mask.device)

    def _record(self, metrics: dict[str, Tensor]) -> None:
        """Into TRL's log. Shares of micro-batches add up to the optimiser batch's mean; TRL takes the mean of what it is given."""
        names = {
            "entropy": "entropy",
            "clip_low_fraction": "clip_ratio/low_mean",
            "clip_high_fraction": "clip_ratio/high_mean",
            "kept": "credit/kept",
        }
        names |= {"kl_ref": "kl"} if self.beta else {}
        for name, title in names.items():
            share = self.accelerator.reduce(metrics[name].float(), reduction="sum")
            self._metrics[self._mode][title].append(float(share) * self._parts)


@dataclass(frozen=True)
class _Batch:
    """The generation batch, or the optimiser batch cut from it, of all processes."""

    signals: TokenSignals
    place: Tensor  # [B, T] int64: a token's row in the signals, -1 where there is none; B responses of the generation batch
    credit: TokenCredit | None


def _total_reward(rewards: Tensor, weights: Tensor, group_size: int) -> tuple[Tensor, Tensor]:
    """[B, F] of all processes -> [B] weighted sums, and [B] bool: some function gave a reward; elsewhere the group's mean stands."""
    scored = ~rewards.isnan().all(dim=1)
    total = (rewards * weights.to(rewards.device)).nansum(dim=1)
    mean = total.masked_fill(~scored, torch.nan).view(-1, group_size).nanmean(dim=1).nan_to_num(0.0)
    return total.where(scored, mean.repeat_interleave(group_size)), scored


def _function(
    credit: str | Callable[[TokenSignals], TokenCredit], params: dict[str, Any], args: GRPOConfig, has_rollout: bool
) -> Callable[[TokenSignals], TokenCredit]:
    if not isinstance(credit, str):
        if params:
            raise UserError(
                "CreditGRPOTrainer: credit_params belong to a method's name; bind those of a function before."
            )
        return credit
    if credit not in METHODS:
        raise UserError(f"CreditGRPOTrainer: credit = {credit!r} is not known; allowed: {', '.join(METHODS)}.")
    method = METHODS[credit]
    params = method.resolved(params)
    there = {"ref_logprob": args.beta != 0.0, "rollout_logprob": args.use_vllm or has_rollout}
    for column in method.columns:
        if column in MISSING:
            raise UserError(f"CreditGRPOTrainer: credit {credit!r} needs the column {column!r}: {MISSING[column]}.")
        if not there.get(column, True):
            raise UserError(
                f"CreditGRPOTrainer: credit {credit!r} needs the column {column!r}, which TRL gives with {CONDITIONS[column]}."
            )
    return partial(assign, credit, **params)


# Parts of TRL's loss that this one does not have: their value for "not used", and what there is instead.
_WITHOUT = {
    "importance_sampling_level": ("token", "a ratio of the whole response is credit='gspo'"),
    "top_entropy_quantile": (1.0, "a mask of uncertain tokens is credit='forking'"),
    "entropy_coef": (0.0, "an entropy bonus is credit='entroreg'"),
    "use_adaptive_entropy": (False, "an entropy bonus is credit='entroreg'"),
    "delta": (None, "no method has a second upper bound"),
    "off_policy_mask_threshold": (None, "no method leaves out responses for their age"),
}


def _check_loss(args: GRPOConfig) -> None:
    if args.loss_type not in AGGREGATIONS:
        raise UserError(
            f"CreditGRPOTrainer: loss_type = {args.loss_type!r}; allowed: {', '.join(AGGREGATIONS)}. "
            "What else TRL has under that name is a method, such as credit='cispo'."
        )
    for name, (unused, instead) in _WITHOUT.items():
        value = getattr(args, name)
        if value != unused:
            raise UserError(f"CreditGRPOTrainer: {name} = {value!r}; it must be {unused!r}: {instead}.")
    if args.beta and args.use_bias_correction_kl:
        raise UserError(
            f"CreditGRPOTrainer: use_bias_correction_kl = True with beta = {args.beta}; it must be False: the KL term is the plain k3 "
            "estimate, which TRL multiplies with the ratio."
        )
    if args.use_vllm and args.vllm_importance_sampling_correction:
        raise UserError(
            "CreditGRPOTrainer: vllm_importance_sampling_correction must be False: truncated importance sampling is credit='tis'."
        )


def _check_batches(args: GRPOConfig, at_update: bool) -> None:
    generated, accumulated = args.steps_per_generation, args.gradient_accumulation_steps
    if generated % accumulated:
        raise UserError(
            f"CreditGRPOTrainer: steps_per_generation = {generated} must be a multiple of gradient_accumulation_steps = {accumulated}, "
            "so that an optimiser batch is part of one generation batch."
        )
    if at_update and generated != accumulated:
        raise UserError(
            f"CreditGRPOTrainer: steps_per_generation = {generated} must equal gradient_accumulation_steps = {accumulated} for a method of "
            "the update stage: TRL shuffles responses, and an optimiser batch that is a part of the generation batch cuts groups."
        )
