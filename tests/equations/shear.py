"""SHEAR, arXiv 2604.23318, Algorithm 1: spans against the nearest span of the other outcome, by Sinkhorn's scaling of a kernel."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, Response, every_token

State = list[float]


def shear(batch: Batch, window: int = 8, stride: int = 4, epsilon: float = 0.05, iterations: int = 30) -> Credit:
    """A max over the token's spans of min over the opposite spans of W / n."""
    advantage = []
    for response in batch.responses:
        group = [other for other in batch.responses if other.group == response.group]
        opposite = [other for other in group if (other.reward > 0) != (response.reward > 0)]
        if not opposite:
            advantage.append([response.advantage] * len(response))
            continue
        norm = statistics.fmean(math.hypot(*state) for other in group for state in other.hidden) or 1e-300
        theirs = [
            [_scaled(other, t, norm) for t in span] for other in opposite for span in _spans(other, window, stride)
        ]
        weights = [0.0] * len(response)
        for span in _spans(response, window, stride):
            own = [_scaled(response, t, norm) for t in span]
            # The scaling begins with the right responses' side, whichever is asked for.
            pairs = [(own, other) if response.reward > 0 else (other, own) for other in theirs]
            distance = min(_transport(P, Q, epsilon, iterations) for P, Q in pairs)
            for t in span:
                weights[t] = max(weights[t], distance)
        advantage.append([response.advantage * weight for weight in weights])
    return Credit(advantage, every_token(batch))


def _spans(response: Response, window: int, stride: int) -> list[range]:
    """a_k = (k - 1) s, b_k = min(a_k + w, T), until b_k = T."""
    spans, begin = [], 0
    while not spans or spans[-1].stop < len(response):
        spans.append(range(begin, min(begin + window, len(response))))
        begin += stride
    return spans


def _scaled(response: Response, t: int, norm: float) -> State:
    return [value / norm for value in response.hidden[t]]


def _transport(P: list[State], Q: list[State], epsilon: float, iterations: int) -> float:
    """epsilon (mean log u + mean log v) with u = 1 / mean_j v K, v = 1 / mean_i u K, K = exp(-cost / epsilon)."""
    K = [[math.exp(-math.dist(x, y) / epsilon) for y in Q] for x in P]
    v = [1.0] * len(Q)
    for _ in range(iterations):
        u = [len(Q) / math.fsum(k * b for k, b in zip(row, v, strict=True)) for row in K]
        v = [len(P) / math.fsum(row[j] * a for row, a in zip(K, u, strict=True)) for j in range(len(Q))]
    return epsilon * (statistics.fmean(map(math.log, u)) + statistics.fmean(map(math.log, v)))
