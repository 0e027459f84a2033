"""Entropy bonuses (arXiv 2604.11056 App. B.4, 2505.22312), EntroAdv (2506.14758), forking tokens (2506.01939)."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, clip, entropies, every_token, exact, places, plain, values_at


def entroreg(batch: Batch, beta: float = 1e-3) -> Credit:
    """The loss falls by beta times the mean entropy."""
    return Credit(plain(batch), every_token(batch), entropy_coef=beta)


def entroreg_adaptive(batch: Batch, target: float = 0.2, delta: float = 1e-4, largest: float = 5e-3) -> Credit:
    """After each step c <- clip(c + delta if H < target else c - delta, 0, c_max), c_0 = 0; no bonus while H >= target."""
    coefficient = 0.0
    for earlier in batch.entropy_history:
        coefficient = clip(coefficient + (delta if earlier < target else -delta), 0.0, largest)
    now = statistics.mean(values_at(entropies(batch), places(batch)))
    return Credit(plain(batch), every_token(batch), entropy_coef=coefficient if now < target else 0.0)


def entroadv(batch: Batch, alpha: float = 0.4, kappa: float = 2.0) -> Credit:
    """A + min(alpha H, |A| / kappa)."""
    advantage = []
    for response in batch.responses:
        A = response.advantage
        advantage.append([A + min(alpha * H, abs(A) / kappa) for H in response.entropy])
    return Credit(advantage, every_token(batch))


def forking(batch: Batch, rho: float = 0.2) -> Credit:
    """1[H >= tau], tau the entropy of the ceil(rho N)-th token of the batch from above; the mean is over the selected tokens."""
    descending = sorted(values_at(entropies(batch), places(batch)), reverse=True)
    count = math.ceil(exact(rho) * len(descending))
    tau = descending[count - 1]
    return Credit(plain(batch), [[own >= tau for own in row] for row in entropies(batch)], denominator="kept")
