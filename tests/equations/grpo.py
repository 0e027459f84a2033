"""Group advantages: GRPO, DAPO, Dr. GRPO."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.equations.batch import Batch, Credit, every_token, plain, teaches


def group_advantage(reward: Sequence[float], group: Sequence[int]) -> list[float]:
    """(r_i - mean_G r) / std_G r with ddof 1 (arXiv 2402.03300; ddof from arXiv 2604.11056, Fig. 8); 0 where all rewards are equal."""
    advantages = []
    for own_reward, own_group in zip(reward, group, strict=True):
        rewards = [r for r, g in zip(reward, group, strict=True) if g == own_group]
        if all(r == rewards[0] for r in rewards):
            advantages.append(0.0)
            continue
        mean = sum(rewards) / len(rewards)
        variance = sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1)
        advantages.append((own_reward - mean) / math.sqrt(variance))
    return advantages


def grpo(batch: Batch) -> Credit:
    """A_it = A_i (arXiv 2402.03300)."""
    return Credit(plain(batch), every_token(batch))


def dapo(batch: Batch) -> Credit:
    """A_it = A_i: the rest of arXiv 2503.14476 is clip range, aggregation, sampling and reward."""
    return Credit(plain(batch), every_token(batch))


def dr_grpo(batch: Batch) -> Credit:
    """A_it = r_i - mean_G r (arXiv 2503.20783)."""
    advantage = []
    for response in batch.responses:
        rewards = [other.reward for other in batch.responses if other.group == response.group]
        centred = response.reward - sum(rewards) / len(rewards)
        advantage.append([centred if teaches(batch, response.group) else 0.0 for _ in response.entropy])
    return Credit(advantage, every_token(batch))
