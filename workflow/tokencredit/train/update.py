"""The optimiser's side of a step: several minibatch updates on one batch of rollouts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokencredit.config import Recipe, Training
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, controlled
from tokencredit.credit.columns import columns_of
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, micro_batches, policy_loss
from tokencredit.policy.packing import layout_of
from tokencredit.train.batching import minibatches
from tokencredit.train.processes import ALONE, NOTHING, Processes
from tokencredit.train.sharding import unsharded
from tokencredit.train.support import Support


@dataclass(frozen=True)
class Credit:
    """A credit method with its parameters, under a control or not, at the stage where it acts."""

    name: str
    params: dict[str, float | int | str | bool]
    control: str | None = None

    @property
    def columns(self) -> set[str]:
        """The optional columns that a step's signals must hold; the current policy's log-probs are each update's own."""
        return set(columns_of(self.name, self.control)) - {"logprob"}

    def at_rollout(self, signals: TokenSignals) -> TokenCredit | None:
        """The credit of the whole step's batch, or None where the method needs the current policy of each update."""
        return self._assign(signals) if METHODS[self.name].stage == "rollout" else None

    def at_update(self, signals: TokenSignals, logprob: Tensor, entropy: Tensor) -> TokenCredit:
        """The credit of one minibatch, seen by the current policy: its log-probs, and its entropies in place of the old ones."""
        return self._assign(dataclasses.replace(signals, logprob=logprob, entropy=entropy))

    def _assign(self, signals: TokenSignals) -> TokenCredit:
        credit = assign(self.name, signals, **self.params)
        return controlled(self.control, signals, credit) if self.control else credit


class Updater:
    """AdamW with linear warm-up over steps; each update is one minibatch of whole groups, or as ``minibatches`` says, in micro-batches.

    The credit is the whole minibatch's, computed in every process; its forward and backward passes are shared out.
    """

    def __init__(
        self, scorer: Scorer, training: Training, recipe: Recipe, processes: Processes = ALONE, seed: int = 0
    ) -> None:
        self.scorer, self.training, self.recipe, self.processes, self.seed = scorer, training, recipe, processes, seed
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter in scorer.parameters() if parameter.requires_grad],
            lr=training.learning_rate,
            betas=(training.adam_beta1, training.adam_beta2),
            weight_decay=training.weight_decay,
            fused=processes.device.type == "cuda",
        )

    def learning_rate(self, step: int) -> float:
        return self.training.learning_rate * min(1.0, step / max(1, self.training.warmup_steps))

    def step(
        self,
        step: int,
        sequences: list[Sequence],
        signals: TokenSignals,
        credit: Credit,
        drawable: list[Support] | None = None,
    ) -> tuple[dict[str, float | None], TokenCredit]:
        """All updates of one step; the mean of their metrics (``ratio_max``: the largest), and the credit of the step's tokens.

        ``drawable``: of each sequence what could be drawn, where ratios are of policies restricted to that.
        """
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        whole = credit.at_rollout(signals)
        parts: list[TokenCredit] = []
        history: list[dict[str, float]] = []
        settings, moved = self.training, False
        for chosen in minibatches(signals, self._prompts(signals), settings.keep_groups_together, self.seed, step):
            part, rows = signals.select(chosen)
            members = [sequences[index] for index in chosen.tolist()]
            among = [drawable[index] for index in chosen.tolist()] if drawable else None
            if whole is not None:
                parts.append(whole.select(rows))
            elif moved:
                now = self.processes.score(self.scorer, members, self.training.micro_batch_tokens)
                parts.append(credit.at_update(part, *now))
            else:
                parts.append(credit.at_update(part, part.old_logprob, part.entropy))
            history.append(self.update(members, part, parts[-1], moved, among))
            moved |= bool(_active(part, parts[-1]))
        means: dict[str, float | None] = {
            name: sum(entry[name] for entry in history) / len(history) for name in history[0]
        }
        if signals.ref_logprob is None:
            means["kl_ref"] = None
        means |= {
            "ratio_max": max(entry["ratio_max"] for entry in history),
            "learning_rate": rate,
            "updates": len(history),
        }
        return means, whole if whole is not None else _joined(parts)

    def _prompts(self, signals: TokenSignals) -> int:
        """Groups of an update. Balanced rewards and resets make more groups of fewer responses; a step still has its number of updates."""
        settings, groups = self.training, int(signals.group.max()) + 1
        if settings.balance_rewards is None and groups <= settings.prompts_per_step:
            return settings.prompts_per_update
        return math.ceil(groups * settings.prompts_per_update / settings.prompts_per_step)

    def update(
        self,
        sequences: list[Sequence],
        signals: TokenSignals,
        credit: TokenCredit,
        moved: bool = True,
        drawable: list[Support] | None = None,
    ) -> dict[str, float]:
        """One optimiser update on one minibatch; ``moved``: whether the policy has been updated since it was scored.

        Before that its log-probs are the old ones, and are set to them: two passes over other micro-batches differ by rounding, whose
        sign would otherwise be the gradient of KL-Cov's |log rho|, and which in low precision would cross GSPO's narrow bounds.

        A response none of whose tokens has a gradient is left out of forward and backward, and the normaliser still counts it. Clip
        fractions and ``kl_old`` then leave its tokens out of their sums.
        """
        recipe, budget = self.recipe, self.training.micro_batch_tokens
        starts = torch.tensor([0, *(len(sequence.response) for sequence in sequences)]).cumsum(0)
        active = _active(signals, credit)
        chosen = [sequences[index] for index in active]
        mine = [active[place] for place in self.processes.share(chosen)]
        totals = dict.fromkeys(
            ("loss", "clip_low_fraction", "clip_high_fraction", "kl_old", "kl_ref", "ratio_max"), 0.0
        )
        for batch in micro_batches([sequences[index] for index in mine], budget, layout_of(self.scorer.model)):
            members = [mine[index] for index in batch]
            rows = torch.cat([torch.arange(starts[index], starts[index + 1]) for index in members])
            support = Support.joined([drawable[index] for index in members]) if drawable else None
            logprob, entropy, *restricted = self.scorer(
                [sequences[index] for index in members], also=support and support.logprob_now
            )
            logprob, log_ratio = logprob.cpu(), restricted[0].cpu() - support.logprob if support else None
            if not moved:
                logprob = signals.old_logprob[rows] + (logprob - logprob.detach())
                log_ratio = log_ratio - log_ratio.detach() if support else None
            loss, metrics = policy_loss(
                logprob,
                signals,
                credit,
                clip_low=recipe.clip_low,
                clip_high=recipe.clip_high,
                kl_coef=recipe.kl_coef,
                aggregation=recipe.aggregation,
                max_response_tokens=self.training.sampling.max_response_tokens,
                entropy=entropy.cpu(),
                log_ratio=log_ratio,
                rows=rows,
            )
            _check_finite("loss", float(loss.detach()))
            loss.backward()
            totals["loss"] += float(loss.detach())
            totals["ratio_max"] = max(totals["ratio_max"], float(metrics.pop("ratio_max")))
            for name, value in metrics.items():
                totals[name] += float(value)
        for _ in range(self.processes.idle_passes(self.scorer, chosen, budget)):
            (0.0 * self.scorer([NOTHING])[0].sum()).backward()
        norm = 0.0
        if active:
            norm = float(unsharded(torch.nn.utils.clip_grad_norm_(self.scorer.parameters(), self.training.grad_clip)))
            _check_finite("norm of the gradient", norm)
            self.optimizer.step()
        self.optimizer.zero_grad()
        everywhere = self.processes.gather(totals)
        totals = {name: sum(each[name] for each in everywhere) for name in totals}
        return {**totals, "ratio_max": max(each["ratio_max"] for each in everywhere), "grad_norm": norm}


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise UserError(f"training diverged: the {name} is {value}; lower the learning rate or the clip bounds.")


def _active(signals: TokenSignals, credit: TokenCredit) -> list[int]:
    """The responses with a gradient: all under a term that needs no credit, else those with a kept token that has some."""
    if signals.ref_logprob is not None or bool((torch.as_tensor(credit.entropy_coef) != 0).any()):
        return list(range(len(signals.reward)))
    moves = credit.keep & ((credit.advantage != 0) | (torch.as_tensor(credit.old_kl_coef) != 0))
    counts = torch.zeros(len(signals.reward)).index_add_(0, signals.response, moves.float())
    return counts.nonzero().squeeze(1).tolist()


def _joined(parts: list[TokenCredit]) -> TokenCredit:
    """The credits of a step's updates as one record: what each has per token, joined, and what is the same in all of them.

    What differs otherwise, a coefficient that moved from one update to the next, has no value for the step and is left at its default.
    """
    joined: dict[str, Any] = {}
    for column in dataclasses.fields(TokenCredit):
        values = [getattr(part, column.name) for part in parts]
        per_token = [column.name in part.per_token for part in parts]
        if all(per_token):
            joined[column.name] = torch.cat(values)
        elif not any(per_token) and all(value == values[0] for value in values):
            joined[column.name] = values[0]
    return TokenCredit(**joined)
