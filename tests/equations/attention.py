"""Attention entropy, arXiv 2605.07660: anchors, explorers, and soft weights that move from the first to the second."""

from __future__ import annotations

import math

from tests.equations.batch import Batch, Credit, Ragged, every_token, exact, places, plain, values_at, zscore


def attention_anchors(batch: Batch, rho: float = 0.2) -> Credit:
    """The lowest rho N tokens of the batch; the mean is over these."""
    bound = sorted(_everything(batch))[_count(batch, rho) - 1]
    return Credit(plain(batch), [[own <= bound for own in row] for row in _attention(batch)], denominator="kept")


def attention_explorers(batch: Batch, rho: float = 0.2) -> Credit:
    """The highest rho N tokens of the batch; the mean is over these."""
    bound = sorted(_everything(batch), reverse=True)[_count(batch, rho) - 1]
    return Credit(plain(batch), [[own >= bound for own in row] for row in _attention(batch)], denominator="kept")


def attention_entropy(batch: Batch, strength: float = 0.3) -> Credit:
    """w = max(0, 1 + lambda z(E)) over its mean in the batch, lambda = (2 progress - 1) strength."""
    everything = _everything(batch)
    lam = (2 * batch.progress - 1) * strength
    weights = [[max(0.0, 1 + lam * zscore(E, everything)) for E in row] for row in _attention(batch)]
    mean = sum(sum(row) for row in weights) / len(everything)
    advantage = [
        [response.advantage * w / mean for w in row] for response, row in zip(batch.responses, weights, strict=True)
    ]
    return Credit(advantage, every_token(batch))


def _attention(batch: Batch) -> Ragged:
    return [response.attention_entropy for response in batch.responses]


def _everything(batch: Batch) -> list[float]:
    return values_at(_attention(batch), places(batch))


def _count(batch: Batch, rho: float) -> int:
    return math.ceil(exact(rho) * len(places(batch)))
