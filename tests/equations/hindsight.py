"""The hindsight family: RLSD (arXiv 2604.03128), EGRSD (2605.13255), AMR-SD (2605.18529), CREDIT (2605.11613), a reading of HAPO v2."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from tests.equations.batch import Batch, Credit, Response, every_token, sign, teaches
from tests.equations.batch import clip as within


def rlsd(batch: Batch, start: float = 0.5, fade: float = 0.5, clip: float = 0.2) -> Credit:
    """A [(1 - lambda) + lambda clip(exp(sign(A) D), 1 - eps, 1 + eps)]; lambda falls linearly to 0."""
    lam = start * (1 - batch.progress / fade) if batch.progress < fade else 0.0
    return _of_each(
        batch, lambda response, t: 1 - lam + lam * within(math.exp(_towards(response, t)), 1 - clip, 1 + clip)
    )


def egrsd(batch: Batch, gamma: float = 0.3, window: int = 1, clip: float = 0.2) -> Credit:
    """A clip(exp(sign(A) D)) omega; omega = within(1 - gamma H / max H, .1, 1), H the informed policy's, its least within the window."""
    most = max(H for response in batch.responses for H in response.privileged_entropy)

    def weight(response: Response, t: int) -> float:
        H = min(response.privileged_entropy[t : t + window])
        omega = within(1 - gamma * H / most, 0.1, 1.0) if most > 0 else 1.0
        return within(math.exp(_towards(response, t)), 1 - clip, 1 + clip) * omega

    return _of_each(batch, weight)


def amr_sd(batch: Batch, lam: float = 1.0, tau: float = 0.1) -> Credit:
    """A (1 + lambda max(0, D - tau)) for A >= 0, A (1 + lambda max(0, -D - tau)) for A < 0; D within 5 nats; lambda falls to 0."""
    left = lam * (1 - batch.progress)
    return _of_each(batch, lambda response, t: 1 + left * max(0.0, within(_towards(response, t), -5, 5) - tau))


def credit(batch: Batch, lam: float = 0.1, every_group: bool = False) -> Credit:
    """D - lambda log pi(token | another problem, the answer)."""
    return _alone(batch, lambda response, t: _shift(response, t) - lam * response.contrast_logprob[t], every_group)


def hindsight_naive(batch: Batch, every_group: bool = False) -> Credit:
    """D."""
    return _alone(batch, _shift, every_group)


def hapo_h(batch: Batch, alpha: float = 0.2, c: float = 1.0) -> Credit:
    """A w / mean(w), w = 1 + alpha clip(sign(A) D, -c H, c H), not below 0."""
    advantage = []
    for response in batch.responses:
        weights = [
            max(0.0, 1 + alpha * within(_towards(response, t), -c * H, c * H)) for t, H in enumerate(response.entropy)
        ]
        mean = statistics.mean(weights)
        advantage.append([response.advantage * (weight / mean if mean else 1.0) for weight in weights])
    return Credit(advantage, every_token(batch))


def _shift(response: Response, t: int) -> float:
    return response.privileged_logprob[t] - response.old_logprob[t]


def _towards(response: Response, t: int) -> float:
    return sign(response.advantage) * _shift(response, t)


def _of_each(batch: Batch, weight: Callable[[Response, int], float]) -> Credit:
    advantage = [
        [response.advantage * weight(response, t) for t in range(len(response))] for response in batch.responses
    ]
    return Credit(advantage, every_token(batch))


def _alone(batch: Batch, of_token: Callable[[Response, int], float], every_group: bool) -> Credit:
    advantage = [
        [of_token(response, t) if every_group or teaches(batch, response.group) else 0.0 for t in range(len(response))]
        for response in batch.responses
    ]
    return Credit(advantage, every_token(batch))
