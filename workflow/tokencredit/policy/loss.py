"""The policy-gradient loss on flat tokens."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tokencredit.credit import TokenCredit, TokenSignals
from tokencredit.errors import UserError

Aggregation = Literal["token-mean", "sequence-mean", "constant"]


def policy_loss(
    logprob: Tensor,
    signals: TokenSignals,
    credit: TokenCredit,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    kl_coef: float = 0.0,
    aggregation: Aggregation = "token-mean",
    max_response_tokens: int | None = None,
    entropy: Tensor | None = None,
    log_ratio: Tensor | None = None,
    rows: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The surrogate that the credit names, with its per-token advantages, and the terms that it or the study adds.

    L = sum_t [ -w_t S_t + w_t old_kl_coef |log rho_t| + u_t kl_coef (exp(d_t) - d_t - 1) - u_t entropy_coef H_t ] with rho = exp(logprob -
    old_logprob) and d = ref_logprob - logprob (the k3 estimate). S is min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) (arXiv
    2604.11056 Eq. 2), or what ``credit.surrogate`` and ``credit.ratio`` say. "token-mean": w = keep / N with N all tokens of the batch,
    or the kept ones where the credit says so; "sequence-mean": w = keep / (R T_i), T_i counted likewise; "constant": w = keep /
    (R ``max_response_tokens``), arXiv 2503.20783. u is w without ``keep``.

    ``signals`` and ``credit`` describe the whole optimiser batch of N tokens; ``logprob`` is [N], or [N'] for the tokens ``rows`` (int64)
    of a micro-batch: the weights always belong to the whole batch, so losses and gradients of micro-batches add up to the batch's. A ratio
    of the whole response needs all of its tokens in one micro-batch. ``entropy`` [N'], with its gradient, is needed by an entropy bonus.
    ``log_ratio`` [N']: log rho where it is not logprob - old_logprob but that of policies restricted to what could be drawn
    (docs/top-p.md); a surrogate of log pi then follows the restricted policy too, KL to the reference does not.

    Returns the loss (scalar) and sums over these tokens that add up to the batch's means: ``clip_low_fraction``, ``clip_high_fraction``,
    ``kl_old`` (k3 of the behaviour policy), ``kl_ref``; and ``ratio_max``, of which a caller takes the largest. No gradient in these.
    """
    rows = torch.arange(len(signals.response), device=logprob.device) if rows is None else rows
    weight, plain_weight = (
        w[rows].to(logprob.dtype) for w in _weights(signals, credit, aggregation, max_response_tokens)
    )
    part = credit.select(rows)
    low = clip_low if part.clip_low is None else part.clip_low
    high = clip_high if part.clip_high is None else part.clip_high
    scored = logprob if log_ratio is None else log_ratio  # the same gradient as log pi, whose old value is a constant
    log_ratio = logprob - signals.old_logprob[rows] if log_ratio is None else log_ratio
    ratio = _ratio(log_ratio, signals, rows, part)
    bounds = (torch.as_tensor(bound, dtype=ratio.dtype, device=ratio.device) for bound in (1 - low, 1 + high))
    clipped = torch.clamp(ratio, *bounds)
    surrogate = _surrogate(part, ratio, clipped, scored).masked_fill(~part.keep, 0.0)
    loss = -(weight * surrogate).sum()
    if _acts(part.old_kl_coef):
        loss = loss + (weight * part.old_kl_coef * log_ratio.abs()).sum()
    if _acts(part.entropy_coef):
        if entropy is None:
            raise ValueError("policy_loss: the credit asks for an entropy bonus, but no entropy was given.")
        loss = loss - (plain_weight * part.entropy_coef * entropy).sum()

    coefficient = kl_coef if part.kl_coef is None else part.kl_coef
    kl_ref = logprob.new_zeros(())
    if signals.ref_logprob is not None:
        towards = signals.ref_logprob[rows] - logprob
        k3 = towards.exp() - towards - 1
        if _acts(coefficient):
            loss = loss + (plain_weight * coefficient * k3).sum()
        kl_ref = (plain_weight * k3).sum().detach()
    elif _acts(coefficient):
        raise UserError("policy_loss: kl_coef is not 0, but the signals hold no ref_logprob.")

    with torch.no_grad():
        below, above = _out_of_bounds(part, ratio, low, high)
        metrics = {
            "clip_low_fraction": (plain_weight * below).sum(),
            "clip_high_fraction": (plain_weight * above).sum(),
            "kl_old": (plain_weight * (log_ratio.exp() - 1 - log_ratio)).sum(),
            "kl_ref": kl_ref,
            "ratio_max": ratio.max() if len(ratio) else ratio.new_zeros(()),
        }
    return loss, metrics


def _ratio(log_ratio: Tensor, signals: TokenSignals, rows: Tensor, credit: TokenCredit) -> Tensor:
    """[N'] rho_t; or ((1 / T) sum_t rho_t^p)^(1 / p) of the token's response, the geometric mean at p = 0.

    Source: arXiv 2507.18071 (p = 0), arXiv 2605.12058.
    """
    if credit.ratio == "token":
        return log_ratio.exp()
    index = signals.response[rows]
    lengths = torch.bincount(signals.response, minlength=len(signals.reward))
    here = torch.bincount(index, minlength=len(signals.reward))
    if not bool(((here == 0) | (here == lengths)).all()):
        raise ValueError("policy_loss: a ratio of the whole response needs all of its tokens in one micro-batch.")
    # In float64: near power 0 the logarithm of a mean close to 1 is divided by a small number.
    log_ratio, dtype = log_ratio.double(), log_ratio.dtype
    count = lengths.clamp(min=1).double()
    power = credit.ratio_power
    if abs(power) < 1e-6:
        log_mean = torch.zeros_like(count).index_add(0, index, log_ratio) / count
    else:
        scaled = power * log_ratio
        top = torch.full_like(count, -torch.inf).scatter_reduce(0, index, scaled.detach(), "amax")
        top = top.masked_fill(here == 0, 0.0)
        total = torch.zeros_like(count).index_add(0, index, (scaled - top[index]).exp())
        log_mean = (top + total.masked_fill(here == 0, 1.0).log() - count.log()) / power
    if credit.ratio == "response":
        return log_mean.exp()[index].to(dtype)
    return (log_mean.detach().exp()[index] * (log_ratio - log_ratio.detach()).exp()).to(dtype)


def _surrogate(credit: TokenCredit, ratio: Tensor, clipped: Tensor, logprob: Tensor) -> Tensor:
    """[N'] what is maximised at each token."""
    if credit.surrogate == "unclipped":
        return ratio * credit.advantage
    if credit.surrogate == "cispo":
        return clipped.detach() * credit.advantage * logprob
    if credit.surrogate == "reinforce":
        return credit.advantage * logprob
    return torch.minimum(ratio * credit.advantage, clipped * credit.advantage)


def _out_of_bounds(
    credit: TokenCredit, ratio: Tensor, low: float | Tensor, high: float | Tensor
) -> tuple[Tensor, Tensor]:
    """[N'] bool each: tokens whose ratio the surrogate clips from below, and from above."""
    inside = credit.keep & (credit.advantage != 0)
    below, above = inside & (ratio < 1 - low), inside & (ratio > 1 + high)
    if credit.surrogate == "clip":
        return below & (credit.advantage < 0), above & (credit.advantage > 0)
    clips = credit.surrogate == "cispo"
    return below & clips, above & clips


def _weights(
    signals: TokenSignals, credit: TokenCredit, aggregation: Aggregation, max_response_tokens: int | None
) -> tuple[Tensor, Tensor]:
    """[N] weights of the terms of the loss, with and without ``keep``."""
    keep = credit.keep.double()
    counted = keep if credit.denominator == "kept" else torch.ones_like(keep)
    responses = len(signals.reward)
    if aggregation == "token-mean":
        return keep / counted.sum().clamp(min=1), torch.full_like(keep, 1 / max(len(keep), 1))
    if aggregation == "sequence-mean":
        kept_lengths = counted.new_zeros(responses).index_add_(0, signals.response, counted).clamp(min=1)
        lengths = counted.new_zeros(responses).index_add_(0, signals.response, torch.ones_like(counted)).clamp(min=1)
        return keep / (responses * kept_lengths[signals.response]), 1 / (responses * lengths[signals.response])
    if aggregation == "constant":
        if max_response_tokens is None:
            raise ValueError("aggregation 'constant' needs max_response_tokens.")
        constant = 1 / (max(responses, 1) * max_response_tokens)
        return keep * constant, torch.full_like(keep, constant)
    raise ValueError(f"aggregation is {aggregation!r}; allowed: 'token-mean', 'sequence-mean', 'constant'.")


def _acts(coefficient: Tensor | float) -> bool:
    return isinstance(coefficient, Tensor) or coefficient != 0
