"""Attention entropy, arXiv 2605.07660: anchors, explorers, and soft weights that move from the first to the second (Eq. 26-30)."""

from __future__ import annotations

import math

from tests.equations.batch import Batch, Credit, Response, every_token, exact, places, plain, values_at


def attention_anchors(batch: Batch, rho: float = 0.2) -> Credit:
    """The lowest rho T tokens of each response; the mean is over these."""
    bounds = [sorted(response.attention_entropy)[_count(response, rho) - 1] for response in batch.responses]
    keep = [
        [own <= bound for own in response.attention_entropy]
        for response, bound in zip(batch.responses, bounds, strict=True)
    ]
    return Credit(plain(batch), keep, denominator="kept")


def attention_explorers(batch: Batch, rho: float = 0.2) -> Credit:
    """The highest rho T tokens of each response; the mean is over these."""
    bounds = [sorted(response.attention_entropy)[-_count(response, rho)] for response in batch.responses]
    keep = [
        [own >= bound for own in response.attention_entropy]
        for response, bound in zip(batch.responses, bounds, strict=True)
    ]
    return Credit(plain(batch), keep, denominator="kept")


def attention_entropy(batch: Batch, tau: float = 0.8, warm: float = 0.53) -> Credit:
    """w = (1 - abar) w_low + abar w_high, w_low = 1 - w_high; abar: softmax of E / tau over the batch, from 0 at its least to 1."""
    attention = [response.attention_entropy for response in batch.responses]
    everything = values_at(attention, places(batch))
    normaliser = sum(math.exp(E / tau) for E in everything)
    softmax = [[math.exp(E / tau) / normaliser for E in row] for row in attention]
    least, most = (extreme(value for row in softmax for value in row) for extreme in (min, max))
    high = min(1.0, batch.progress / warm)
    advantage = []
    for response, row in zip(batch.responses, softmax, strict=True):
        scaled = [(value - least) / (most - least) if max(everything) > min(everything) else 0.5 for value in row]
        advantage.append([response.advantage * ((1 - abar) * (1 - high) + abar * high) for abar in scaled])
    return Credit(advantage, every_token(batch))


def _count(response: Response, rho: float) -> int:
    return max(1, math.ceil(exact(rho) * len(response)))
