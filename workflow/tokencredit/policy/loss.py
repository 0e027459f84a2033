"""The policy-gradient loss on flat tokens."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tokencredit.credit import TokenCredit, TokenSignals
from tokencredit.errors import UserError

Aggregation = Literal["token-mean", "sequence-mean"]


def policy_loss(
    logprob: Tensor,
    signals: TokenSignals,
    credit: TokenCredit,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    kl_coef: float = 0.0,
    aggregation: Aggregation = "token-mean",
    rows: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate (arXiv 2604.11056 Eq. 2) with per-token credit, plus an optional KL to the reference.

    L = - sum_t w_t min(rho_t A_t, clip(rho_t, 1 - clip_low, 1 + clip_high) A_t) + kl_coef sum_t u_t (exp(d_t) - d_t - 1), with
    rho = exp(logprob - old_logprob), d = ref_logprob - logprob (the k3 estimate). "token-mean": w = keep / N with N all tokens of the
    batch, or the kept ones where the credit says so; "sequence-mean": w = keep / (R T_i). u is w without ``keep``.

    ``signals`` and ``credit`` describe the whole optimiser batch of N tokens; ``logprob`` is [N], or [N'] for the tokens ``rows`` (int64)
    of a micro-batch: the weights always belong to the whole batch, so losses and gradients of micro-batches add up to the batch's.

    Returns the loss (scalar) and sums over these tokens that add up to the batch's means: ``clip_low_fraction``, ``clip_high_fraction``,
    ``kl_old`` (k3 of the behaviour policy), ``kl_ref``; and ``ratio_max``, of which a caller takes the largest. No gradient in these.
    """
    rows = torch.arange(len(signals.response), device=logprob.device) if rows is None else rows
    weight, plain_weight = (w[rows].to(logprob.dtype) for w in _weights(signals, credit, aggregation))
    part = credit.select(rows)
    low = clip_low if part.clip_low is None else part.clip_low
    high = clip_high if part.clip_high is None else part.clip_high
    log_ratio = logprob - signals.old_logprob[rows]
    ratio = log_ratio.exp()
    clipped = torch.clamp(
        ratio, torch.as_tensor(1 - low, dtype=ratio.dtype), torch.as_tensor(1 + high, dtype=ratio.dtype)
    )
    loss = -(weight * torch.minimum(ratio * part.advantage, clipped * part.advantage)).sum()

    coefficient = kl_coef if part.kl_coef is None else part.kl_coef
    kl_ref = logprob.new_zeros(())
    if signals.ref_logprob is not None:
        towards = signals.ref_logprob[rows] - logprob
        k3 = towards.exp() - towards - 1
        loss = loss + (plain_weight * coefficient * k3).sum()
        kl_ref = (plain_weight * k3).sum().detach()
    elif isinstance(coefficient, Tensor) or coefficient:
        raise UserError("policy_loss: kl_coef is not 0, but the signals hold no ref_logprob.")

    with torch.no_grad():
        inside = part.keep & (part.advantage != 0)
        metrics = {
            "clip_low_fraction": (plain_weight * (inside & (ratio < 1 - low) & (part.advantage < 0))).sum(),
            "clip_high_fraction": (plain_weight * (inside & (ratio > 1 + high) & (part.advantage > 0))).sum(),
            "kl_old": (plain_weight * (ratio - 1 - log_ratio)).sum(),
            "kl_ref": kl_ref,
            "ratio_max": ratio.max() if len(ratio) else ratio.new_zeros(()),
        }
    return loss, metrics


def _weights(signals: TokenSignals, credit: TokenCredit, aggregation: Aggregation) -> tuple[Tensor, Tensor]:
    """[N] weights of the terms of the loss, with and without ``keep``; each sums to 1 over the tokens that it counts."""
    keep = credit.keep.double()
    counted = keep if credit.denominator == "kept" else torch.ones_like(keep)
    if aggregation == "token-mean":
        return keep / counted.sum().clamp(min=1), torch.full_like(keep, 1 / max(len(keep), 1))
    if aggregation == "sequence-mean":
        responses = len(signals.reward)
        kept_lengths = counted.new_zeros(responses).index_add_(0, signals.response, counted).clamp(min=1)
        lengths = counted.new_zeros(responses).index_add_(0, signals.response, torch.ones_like(counted)).clamp(min=1)
        return keep / (responses * kept_lengths[signals.response]), 1 / (responses * lengths[signals.response])
    raise ValueError(f"aggregation is {aggregation!r}; allowed: 'token-mean', 'sequence-mean'.")
