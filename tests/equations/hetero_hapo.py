"""Heterogeneous Adaptive Policy Optimization, arXiv 2509.16591, parts B, C and D."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, Ragged, every_token, places, quantile, teaches


def hetero_hapo(
    batch: Batch, rho: float = 0.8, clip_low: float = 0.2, clip_high: float = 0.28, variant: str = "as_described"
) -> Credit:
    """B: the advantage over tokens; C: A (1 + h) for h > 0 outside or h <= 0 inside the inner trust region; D: the clip range by h."""
    released = variant == "as_released"
    h = _normalised_entropy(batch, rho, released)
    base = _token_level_advantage(batch, released)
    advantage, low, high = [], [], []
    for i, response in enumerate(batch.responses):
        row, row_low, row_high = [], [], []
        for t in range(len(response)):
            own_low = clip_low * (1 - h[i][t]) if h[i][t] <= 0 else clip_low
            own_high = clip_high * (1 + h[i][t]) if h[i][t] > 0 else clip_high
            # The released code adapts the range before it looks whether the ratio is inside.
            zone_low, zone_high = (own_low, own_high) if released else (clip_low, clip_high)
            ratio = math.exp(response.logprob[t] - response.old_logprob[t])
            inside = 1 - zone_low / 2 <= ratio <= 1 + zone_high / 2
            redistributed = (h[i][t] > 0 and not inside) or (h[i][t] <= 0 and inside)
            row.append(base[i] * (1 + h[i][t]) if redistributed else base[i])
            row_low.append(own_low)
            row_high.append(own_high)
        advantage.append(row)
        low.append(row_low)
        high.append(row_high)
    return Credit(advantage, every_token(batch), clip_low=low, clip_high=high)


def _normalised_entropy(batch: Batch, rho: float, released: bool) -> Ragged:
    """h = (log H - Q_rho(log H)) / sigma, the positive side over its maximum, the negative side over the size of its minimum.

    The publication does not say what log 0 is; the package takes log 1e-8.
    """
    logs = [[math.log(max(H, 1e-8)) for H in response.entropy] for response in batch.responses]
    everything = [value for row in logs for value in row]
    sigma = statistics.pstdev(everything)
    if sigma == 0:
        return [[0.0 for _ in row] for row in logs]
    pivot = quantile(everything, rho)
    raw = [[(value - pivot) / sigma for value in row] for row in logs]
    largest = max(value for row in raw for value in row)
    smallest = min(value for row in raw for value in row)
    scaled = []
    for row in raw:
        scaled_row = []
        for value in row:
            if value > 0:
                scaled_row.append(value / largest)
            elif value < 0:
                # The defect: the released code multiplies by 1 / minimum, and the minimum is negative.
                scaled_row.append(value / smallest if released else value / abs(smallest))
            else:
                scaled_row.append(0.0)
        scaled.append(scaled_row)
    return scaled


def _token_level_advantage(batch: Batch, released: bool) -> list[float]:
    """(r_i - mu) / sigma with both over the tokens of the group; the released code keeps GRPO's value if any |A| reaches 5."""
    standardised = []
    for response in batch.responses:
        rewards = [batch.responses[i].reward for i, _ in places(batch, response.group)]
        sigma = statistics.pstdev(rewards)
        if sigma == 0 or not teaches(batch, response.group):
            standardised.append(0.0)
        else:
            standardised.append((response.reward - statistics.mean(rewards)) / sigma)
    if not released:
        return standardised
    chosen = []
    for response, own in zip(batch.responses, standardised, strict=True):
        of_group = [
            abs(A) for other, A in zip(batch.responses, standardised, strict=True) if other.group == response.group
        ]
        chosen.append(response.advantage if any(size >= 5 for size in of_group) else own)
    return chosen
