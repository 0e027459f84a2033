"""ARCA, arXiv 2606.00257: length-normalised REINFORCE with the adapter's residual norm as weight."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, every_token


def arca(batch: Batch, sharpening: float = 1.0, epsilon: float = 1e-8) -> Credit:
    """g = A sum_t w_t grad log pi, w = (a^s + eps) / sum (a^s + eps): times T_i, because the sequence mean divides by it."""
    advantage = []
    for response in batch.responses:
        scores = [a**sharpening + epsilon for a in response.residual_norm]
        advantage.append([response.advantage * len(response) * score / sum(scores) for score in scores])
    return Credit(advantage, every_token(batch), surrogate="reinforce")
