"""How far the sampler's probabilities are from the trainer's, and when that is too far for a run to count.

The policy-gradient loss takes responses as samples of the old policy, as the trainer computes it. Where the sampler computes the same model
in other kernels, in other precision or from other weights, they are samples of something else, and every ratio starts away from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tokencredit.errors import UserError
from tokencredit.records import Rollout

# Of the ratio trainer / sampler; the median says whether one of the two is off everywhere.
RATIO_QUANTILES = (1, 5, 50, 95, 99)
LOW, HIGH = 0.5, 2.0


def mismatch(rollout_logprob: Tensor, old_logprob: Tensor) -> dict[str, float]:
    """``rollout_logprob`` [N] by the sampler, ``old_logprob`` [N] by the trainer (nats, of the same tokens) -> metrics of the step.

    With rho = exp(old_logprob - rollout_logprob) of each token: ``mismatch_kl``, the mean of rho - 1 - log rho (the k3 estimate of
    KL(sampler || trainer), nats a token, 0 only where all log-probs agree); ``mismatch_abs``, the mean of |log rho|; ``mismatch_q01`` to
    ``mismatch_q99`` and ``mismatch_max``, of rho; ``mismatch_outside``, the share of tokens whose rho is below 0.5 or above 2.

    Both log-probs are of the full distribution at the sampling temperature. Top-p below 1 restricts which tokens were drawn, not what
    their log-probs mean, so equal models still give 0; the mean is then over the tokens that top-p lets through. Raises ``UserError``
    where a log-prob is not finite.
    """
    if rollout_logprob.shape != old_logprob.shape or rollout_logprob.ndim != 1 or not len(old_logprob):
        raise ValueError(
            f"mismatch needs two log-probs for each of at least one token: {tuple(rollout_logprob.shape)} and "
            f"{tuple(old_logprob.shape)}."
        )
    for who, values in (("sampler", rollout_logprob), ("trainer", old_logprob)):
        if not bool(torch.isfinite(values).all()):
            broken = int((~torch.isfinite(values)).sum())
            raise UserError(f"the {who}'s log-probs of {broken} of {len(values)} sampled tokens are not finite.")
    log_ratio = old_logprob.double() - rollout_logprob.double()
    ratio = log_ratio.exp()
    ordered = ratio.sort().values
    quantiles = {f"mismatch_q{q:02d}": float(ordered[(len(ordered) - 1) * q // 100]) for q in RATIO_QUANTILES}
    return {
        "mismatch_kl": float((torch.expm1(log_ratio) - log_ratio).mean()),
        "mismatch_abs": float(log_ratio.abs().mean()),
        **quantiles,
        "mismatch_max": float(ordered[-1]),
        "mismatch_outside": float(((ratio < LOW) | (ratio > HIGH)).double().mean()),
    }


def sampler_logprobs(rollouts: Sequence[Rollout]) -> Tensor:
    """[N] float32: the sampler's own log-probs, response after response. ``UserError`` where it did not give one for every token."""
    for rollout in rollouts:
        given, tokens = len(rollout.response.logprobs), len(rollout.response.token_ids)
        if given != tokens:
            raise UserError(
                f"the sampler gave {given} log-probs for the {tokens} tokens of a response to problem {rollout.problem_id}; training needs "
                f"one for each."
            )
    return torch.tensor([logprob for rollout in rollouts for logprob in rollout.response.logprobs])


def invalid_by_mismatch(steps: Sequence[Mapping[str, Any]], bound: float) -> str | None:
    """Why a run with these lines of ``metrics.jsonl`` does not count: ``mismatch_kl`` above ``bound`` at some step; None where it does.

    A function of what was recorded, so that a resumed run is judged as an uninterrupted one. Steps without tokens have no mismatch.
    """
    above = [line for line in steps if line.get("mismatch_kl") is not None and line["mismatch_kl"] > bound]
    if not above:
        return None
    first, worst = above[0], max(line["mismatch_kl"] for line in above)
    return (
        f"at step {first['step']} the sampler was {first['mismatch_kl']:.2g} nats a token from the trainer, more than "
        f"mismatch_kl = {bound:g} allows ({len(above)} of {len(steps)} steps, at most {worst:.2g})"
    )
