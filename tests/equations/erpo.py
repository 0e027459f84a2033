"""ERPO, arXiv 2603.28204, and EP-GRPO, arXiv 2605.04960: an implicit reward, standardised in buckets, gated by entropy."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from tests.equations.batch import (
    Batch,
    Credit,
    entropies,
    every_token,
    groups_of,
    places,
    sigmoid,
    sign,
    teaches,
    values_at,
    zscore,
)


def erpo(
    batch: Batch,
    gamma: float = 5.0,
    eta: float = 0.2,
    beta: float = 0.1,
    target: float = 1.0,
    buckets: int = 10,
    gate: bool = True,
    normalise: bool = True,
    anchor: bool = True,
) -> Credit:
    """Psi = sigmoid(gamma z_G(H)) sign(A) z_bucket(beta (log pi - log pi_ref)), its deviation set to the target; A' = z_G(A + eta Psi)."""
    advantage = [[0.0 for _ in response.entropy] for response in batch.responses]
    implicit = [_implicit(response.old_logprob, response.ref_logprob, beta) for response in batch.responses]
    for group in groups_of(batch):
        if not teaches(batch, group):
            continue
        where = places(batch, group)
        of_group = values_at(entropies(batch), where)
        psi = {}
        for i, t in where:
            A = batch.responses[i].advantage
            own_bucket = buckets * t // len(batch.responses[i])
            peers = [implicit[k][u] for k, u in where if buckets * u // len(batch.responses[k]) == own_bucket]
            W = sigmoid(gamma * zscore(batch.responses[i].entropy[t], of_group)) if gate else 1.0
            s = zscore(implicit[i][t], peers) if normalise else implicit[i][t]
            psi[i, t] = W * (sign(A) if anchor else 1.0) * s
        deviation = statistics.pstdev(psi.values())
        level = math.isclose(min(psi.values()), max(psi.values()), rel_tol=1e-12, abs_tol=1e-12)
        total = {
            (i, t): batch.responses[i].advantage + (0.0 if level else eta * target * psi[i, t] / deviation)
            for i, t in where
        }
        for i, t in where:
            advantage[i][t] = zscore(total[i, t], list(total.values()))
    return Credit(advantage, every_token(batch))


def ep_grpo(
    batch: Batch, gamma: float = 5.0, eta: float = 0.2, lam: float = 0.1, buckets: int = 10, every_group: bool = False
) -> Credit:
    """W A + eta z(d s) among tokens of the group with as many tenths of their response's entropy up to them, themselves included."""
    advantage = [[0.0 for _ in response.entropy] for response in batch.responses]
    implicit = [_implicit(response.old_logprob, response.ref_logprob, lam) for response in batch.responses]
    for group in groups_of(batch):
        taught = teaches(batch, group)
        if not (taught or every_group):
            continue
        where = places(batch, group)
        of_group = values_at(entropies(batch), where)
        turned, bucket = {}, {}
        for i, t in where:
            response = batch.responses[i]
            d = sign(response.advantage) if taught else (1.0 if response.reward > 0 else -1.0)
            turned[i, t] = d * implicit[i][t]
            exact = [Fraction(H) for H in response.entropy]
            behind = sum(exact[: t + 1]) / sum(exact) if sum(exact) else Fraction(0)
            bucket[i, t] = min(math.floor(buckets * behind), buckets - 1)
        for i, t in where:
            peers = [turned[place] for place in where if bucket[place] == bucket[i, t]]
            W = sigmoid(gamma * zscore(batch.responses[i].entropy[t], of_group))
            advantage[i][t] = W * batch.responses[i].advantage + eta * zscore(turned[i, t], peers)
    return Credit(advantage, every_token(batch))


def _implicit(logprob: list[float], reference: list[float], coefficient: float) -> list[float]:
    return [coefficient * (own - ref) for own, ref in zip(logprob, reference, strict=True)]
