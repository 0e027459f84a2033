"""ERPO, arXiv 2603.28204: an implicit reward, standardised among tokens of equal progress, gated by entropy."""

from __future__ import annotations

from tests.equations.batch import (
    Batch,
    Credit,
    entropies,
    every_token,
    groups_of,
    places,
    plain,
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
    buckets: int = 10,
    gate: bool = True,
    normalise: bool = True,
    anchor: bool = True,
) -> Credit:
    """Psi = sigmoid(gamma z_G(H)) sign(A) z_bucket(beta (log pi - log pi_ref)); A' = A + eta z_G(Psi)."""
    advantage = plain(batch)
    implicit = [
        [beta * (old - ref) for old, ref in zip(response.old_logprob, response.ref_logprob, strict=True)]
        for response in batch.responses
    ]
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
        for i, t in where:
            advantage[i][t] += eta * zscore(psi[i, t], list(psi.values()))
    return Credit(advantage, every_token(batch))
