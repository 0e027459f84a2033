"""The optimiser's side of a step: several minibatch updates on one batch of rollouts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from tokencredit.config import Base, Training
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, micro_batches, policy_loss


@dataclass(frozen=True)
class Credit:
    """A credit method with its parameters, at the stage where it acts."""

    name: str
    params: dict[str, float | int | str | bool]

    def at_rollout(self, signals: TokenSignals) -> TokenCredit | None:
        """The credit of the whole step's batch, or None where the method needs the current policy of each update."""
        return assign(self.name, signals, **self.params) if METHODS[self.name].stage == "rollout" else None

    def at_update(self, signals: TokenSignals, logprob: Tensor) -> TokenCredit:
        return assign(self.name, dataclasses.replace(signals, logprob=logprob), **self.params)


class Updater:
    """AdamW with linear warm-up over steps; each update is one minibatch of whole groups, in micro-batches of a token budget."""

    def __init__(self, scorer: Scorer, training: Training, base: Base, accelerator: Accelerator) -> None:
        self.training, self.base, self.accelerator = training, base, accelerator
        optimizer = torch.optim.AdamW(
            scorer.parameters(),
            lr=training.learning_rate,
            betas=(training.adam_beta1, training.adam_beta2),
            weight_decay=training.weight_decay,
        )
        self.scorer, self.optimizer = accelerator.prepare(scorer, optimizer)

    def learning_rate(self, step: int) -> float:
        return self.training.learning_rate * min(1.0, step / max(1, self.training.warmup_steps))

    def step(
        self, step: int, sequences: list[Sequence], signals: TokenSignals, credit: Credit
    ) -> tuple[dict[str, float | None], TokenCredit]:
        """All updates of one step; the mean of their metrics (``ratio_max``: the largest), and the credit of the step's tokens."""
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        whole = credit.at_rollout(signals)
        parts: list[TokenCredit] = []
        history: list[dict[str, float]] = []
        for groups in torch.arange(int(signals.group.max()) + 1).split(self.training.prompts_per_update):
            chosen = ((signals.group >= groups[0]) & (signals.group <= groups[-1])).nonzero().squeeze(1)
            part, rows = signals.select(chosen)
            members = [sequences[index] for index in chosen.tolist()]
            if whole is None:
                logprob, _ = self.scorer.score(members, self.training.micro_batch_tokens)
                parts.append(credit.at_update(part, logprob))
            else:
                parts.append(whole.select(rows))
            history.append(self.update(members, part, parts[-1]))
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
        return means, whole if whole is not None else _concatenate(parts)

    def update(self, sequences: list[Sequence], signals: TokenSignals, credit: TokenCredit) -> dict[str, float]:
        """One optimiser update on one minibatch.

        Without a KL term, a response all of whose tokens carry no credit has no gradient: it is left out of forward and backward, and the
        normaliser still counts it. Clip fractions and ``kl_old`` then leave its tokens out of their sums.
        """
        base = self.base
        starts = torch.tensor([0, *(len(sequence.response) for sequence in sequences)]).cumsum(0)
        active = list(range(len(sequences)))
        if signals.ref_logprob is None and credit.kl_coef is None:
            counts = torch.zeros(len(sequences)).index_add_(
                0, signals.response, (credit.keep & (credit.advantage != 0)).float()
            )
            active = counts.nonzero().squeeze(1).tolist()
        totals = dict.fromkeys(
            ("loss", "clip_low_fraction", "clip_high_fraction", "kl_old", "kl_ref", "ratio_max"), 0.0
        )
        for batch in micro_batches([sequences[index] for index in active], self.training.micro_batch_tokens):
            members = [active[index] for index in batch]
            rows = torch.cat([torch.arange(starts[index], starts[index + 1]) for index in members])
            logprob, _ = self.scorer([sequences[index] for index in members])
            loss, metrics = policy_loss(
                logprob.cpu(),
                signals,
                credit,
                clip_low=base.clip_low,
                clip_high=base.clip_high,
                kl_coef=base.kl_coef,
                aggregation=base.aggregation,
                rows=rows,
            )
            if not torch.isfinite(loss):
                raise UserError(
                    f"training diverged: the loss is {float(loss)}; lower the learning rate or the clip bounds."
                )
            self.accelerator.backward(loss)
            totals["loss"] += float(loss.detach())
            totals["ratio_max"] = max(totals["ratio_max"], float(metrics.pop("ratio_max")))
            for name, value in metrics.items():
                totals[name] += float(value)
        norm = self.accelerator.clip_grad_norm_(self.scorer.parameters(), self.training.grad_clip) if active else 0.0
        if active:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return {**totals, "grad_norm": float(norm)}


def _concatenate(parts: list[TokenCredit]) -> TokenCredit:
    return TokenCredit(
        torch.cat([part.advantage for part in parts]), torch.cat([part.keep for part in parts]), parts[0].denominator
    )
