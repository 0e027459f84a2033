"""The loss, one token after another.

arXiv 2604.11056 Eq. 2; the aggregations of arXiv 2402.03300 (sequence mean), 2503.14476 (token mean) and 2503.20783 (constant); the
ratios of 2507.18071 and 2605.12058; the surrogate of 2506.13585; the k3 estimate of 2402.03300; the drift penalty of 2505.22617.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.equations.batch import Batch, Credit, Ragged, clip

STEP = 1e-6


@dataclass(frozen=True)
class Study:
    """What a study sets, where the credit does not."""

    aggregation: str
    clip_low: float
    clip_high: float
    kl_coef: float
    max_response_tokens: int


def loss(batch: Batch, credit: Credit, study: Study) -> float:
    """The loss at the current policy, ``logprob`` and ``entropy`` of the responses."""
    return sum(_of_response(batch, credit, study, i, r.logprob, r.logprob) for i, r in enumerate(batch.responses))


def gradient(batch: Batch, credit: Credit, study: Study) -> Ragged:
    """dL / dlog pi of every token by central differences. A token moves its own response's terms only."""
    slopes = []
    for i, response in enumerate(batch.responses):
        row = []
        for t in range(len(response)):
            ends = []
            for step in (STEP, -STEP):
                moved = list(response.logprob)
                moved[t] += step
                ends.append(_of_response(batch, credit, study, i, moved, response.logprob))
            row.append((ends[0] - ends[1]) / (2 * STEP))
        slopes.append(row)
    return slopes


def stopped_gradient(batch: Batch, credit: Credit, study: Study) -> Ragged:
    """dL / dlog pi of the two forms with sg[.], written out.

    "cispo": -w clip(rho) A. "response-token": -w s A, and 0 where min() takes the clipped side. To both, u beta (1 - exp(d)) of k3.
    """
    slopes = []
    for i, response in enumerate(batch.responses):
        s = _ratio_of_response(response.old_logprob, response.logprob, credit.ratio_power)
        row = []
        for t in range(len(response)):
            A = credit.advantage[i][t]
            low, high = 1 - _at(credit.clip_low, i, t, study.clip_low), 1 + _at(credit.clip_high, i, t, study.clip_high)
            if credit.surrogate == "cispo":
                slope = clip(math.exp(response.logprob[t] - response.old_logprob[t]), low, high) * A
            else:
                slope = 0.0 if (A > 0 and s > high) or (A < 0 and s < low) else s * A
            k3 = _at(credit.kl_coef, i, t, study.kl_coef) * (
                1 - math.exp(response.ref_logprob[t] - response.logprob[t])
            )
            row.append(-_weight(batch, credit, study, i, t) * slope + plain_weight(batch, study, i) * k3)
        slopes.append(row)
    return slopes


def entropy_gradient(batch: Batch, credit: Credit, study: Study) -> Ragged:
    """dL / dH of every token: the bonus alone depends on the entropy."""
    return [
        [-plain_weight(batch, study, i) * _at(credit.entropy_coef, i, t, 0.0) for t in range(len(response))]
        for i, response in enumerate(batch.responses)
    ]


def plain_weight(batch: Batch, study: Study, i: int) -> float:
    """What a term that every token has is multiplied by: one over the tokens, the responses times tokens, or a constant."""
    if study.aggregation == "token-mean":
        return 1 / sum(len(response) for response in batch.responses)
    if study.aggregation == "sequence-mean":
        return 1 / (len(batch.responses) * len(batch.responses[i]))
    return 1 / (len(batch.responses) * study.max_response_tokens)


def _of_response(batch: Batch, credit: Credit, study: Study, i: int, logprob: list[float], held: list[float]) -> float:
    """The terms of response i at ``logprob``; ``held``: the same numbers wherever the equation says sg[.]."""
    response = batch.responses[i]
    total = 0.0
    for t in range(len(response)):
        A = credit.advantage[i][t]
        rho = math.exp(logprob[t] - response.old_logprob[t])
        if credit.ratio == "response":
            ratio = _ratio_of_response(response.old_logprob, logprob, credit.ratio_power)
        elif credit.ratio == "response-token":
            fixed = _ratio_of_response(response.old_logprob, held, credit.ratio_power)
            ratio = fixed * math.exp(logprob[t]) / math.exp(held[t])
        else:
            ratio = rho
        low, high = 1 - _at(credit.clip_low, i, t, study.clip_low), 1 + _at(credit.clip_high, i, t, study.clip_high)
        if credit.surrogate == "clip":
            surrogate = min(ratio * A, clip(ratio, low, high) * A)
        elif credit.surrogate == "unclipped":
            surrogate = ratio * A
        elif credit.surrogate == "cispo":
            surrogate = clip(math.exp(held[t] - response.old_logprob[t]), low, high) * A * logprob[t]
        else:
            surrogate = A * logprob[t]
        drift = _at(credit.old_kl_coef, i, t, 0.0) * abs(math.log(rho))
        d = response.ref_logprob[t] - logprob[t]
        k3 = _at(credit.kl_coef, i, t, study.kl_coef) * (math.exp(d) - d - 1)
        bonus = _at(credit.entropy_coef, i, t, 0.0) * response.entropy[t]
        total += _weight(batch, credit, study, i, t) * (drift - surrogate)
        total += plain_weight(batch, study, i) * (k3 - bonus)
    return total


def _ratio_of_response(old_logprob: list[float], logprob: list[float], power: float) -> float:
    """((1 / T) sum_t rho_t^p)^(1 / p); p = 0: (pi / pi_old)^(1 / T)."""
    ratios = [math.exp(new - old) for new, old in zip(logprob, old_logprob, strict=True)]
    if power == 0:
        return math.prod(ratios) ** (1 / len(ratios))
    return (sum(ratio**power for ratio in ratios) / len(ratios)) ** (1 / power)


def _weight(batch: Batch, credit: Credit, study: Study, i: int, t: int) -> float:
    """What the surrogate of a token is multiplied by: 0 if it is left out; a mean is over all tokens, or over the kept ones."""
    if not credit.keep[i][t]:
        return 0.0
    if credit.denominator == "kept" and study.aggregation == "token-mean":
        return 1 / sum(sum(row) for row in credit.keep)
    if credit.denominator == "kept" and study.aggregation == "sequence-mean":
        return 1 / (len(batch.responses) * sum(credit.keep[i]))
    return plain_weight(batch, study, i)


def _at(value: Ragged | float | None, i: int, t: int, otherwise: float) -> float:
    """The token's own value, the one that all share, or the study's."""
    if value is None:
        return otherwise
    return value[i][t] if isinstance(value, list) else value
