"""HAPO, arXiv 2604.11056 v2: the reconstruction from its abstract, sum_t |A'| = sum_t |A|."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, clip, entropies, every_token, places, values_at, zscore


def hapo(batch: Batch, alpha: float = 0.2, phi: float = 2.0) -> Credit:
    """w = 1 + alpha clip(z / |A|, -1 / phi, 1 / phi); A' = A w / mean_t(w) in the response."""
    advantage = []
    for response in batch.responses:
        A = response.advantage
        if A == 0:
            advantage.append([0.0 for _ in response.entropy])
            continue
        of_group = values_at(entropies(batch), places(batch, response.group))
        weights = [1 + alpha * clip(zscore(H, of_group) / abs(A), -1 / phi, 1 / phi) for H in response.entropy]
        advantage.append([A * w / (sum(weights) / len(weights)) for w in weights])
    return Credit(advantage, every_token(batch))
