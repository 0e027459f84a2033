"""Batches in the shapes in which verl hands them to its hooks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass
class Actor:
    """As much of verl's actor configuration as a policy loss reads."""

    clip_ratio: float = 0.2
    clip_ratio_low: float | None = 0.2
    clip_ratio_high: float | None = 0.28
    global_batch_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Padded:
    """B responses right-padded to T places, [B, T] each; the last row has no token, as one that verl adds to fill a batch."""

    old_log_prob: Tensor
    log_prob: Tensor
    advantages: Tensor
    response_mask: Tensor
    rollout_log_prob: Tensor
    ref_log_prob: Tensor
    entropy: Tensor
    rewards: Tensor  # at the last token of a response
    index: np.ndarray  # [B] of str

    @property
    def loss_arguments(self) -> dict[str, Tensor]:
        names = ("old_log_prob", "log_prob", "advantages", "response_mask")
        return {name: getattr(self, name) for name in names}

    def rows(self, start: int, stop: int) -> Padded:
        return replace(self, **{column.name: getattr(self, column.name)[start:stop] for column in fields(self)})


def padded_batch(
    seed: int = 0, groups: int = 4, group_size: int = 4, longest: int = 9, spread: float = 0.4, empty: bool = True
) -> Padded:
    """Random, in float64; ``spread``: how far the current policy is from the old one. Advantages differ from token to token."""
    random = torch.Generator().manual_seed(seed)
    responses = groups * group_size
    lengths = torch.randint(1, longest + 1, (responses,), generator=random)
    rewards = torch.zeros(responses, longest, dtype=torch.float64)
    right = torch.rand(responses, generator=random) < 0.4
    right[::group_size], right[1::group_size] = True, False
    rewards[torch.arange(responses), lengths - 1] = right.double()
    index = np.array([f"prompt-{7 * (row // group_size) % 5}" for row in range(responses)], dtype=object)
    if empty:
        lengths = torch.cat([lengths, torch.zeros(1, dtype=torch.long)])
        rewards = torch.cat([rewards, torch.zeros(1, longest, dtype=torch.float64)])
        index = np.append(index, "fill")
    shape = (len(lengths), longest)

    def uniform() -> Tensor:
        return torch.rand(shape, generator=random, dtype=torch.float64)

    def normal() -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    old_log_prob = -3 * uniform()
    return Padded(
        old_log_prob=old_log_prob,
        log_prob=(old_log_prob + spread * normal()).clamp(max=-1e-3),
        advantages=normal(),
        response_mask=(torch.arange(longest) < lengths[:, None]).long(),
        rollout_log_prob=old_log_prob + 0.3 * normal(),
        ref_log_prob=old_log_prob + 0.3 * normal(),
        entropy=2 * uniform().pow(3),
        rewards=rewards,
        index=index,
    )
