"""The group advantage, from which every method starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def group_advantage(reward: Tensor, group: Tensor) -> Tensor:
    """A_i = (r_i - mean_G r) / std_G r, with the unbiased standard deviation (ddof 1); 0 where all rewards of a group are equal.

    ``reward`` [R], ``group`` [R] int64 -> [R]. Source: arXiv 2402.03300; ddof 1 from arXiv 2604.11056, Fig. 8 (G = 8 spans +-2.475).
    """
    index = group.unique(return_inverse=True)[1]
    groups = int(index.max()) + 1 if len(index) else 0
    exact = reward.double()
    count = exact.new_zeros(groups).index_add_(0, index, exact.new_ones(len(exact)))
    mean = exact.new_zeros(groups).index_add_(0, index, exact) / count
    deviation = exact - mean[index]
    variance = exact.new_zeros(groups).index_add_(0, index, deviation.square()) / (count - 1).clamp(min=1)
    std = variance.sqrt()[index]
    equal = std <= 1e-12
    return (deviation / std.masked_fill(equal, 1.0)).masked_fill(equal, 0.0).to(reward.dtype)
