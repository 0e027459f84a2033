"""The group advantage, from which every method starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.segments import segment_mean, segment_sum

if TYPE_CHECKING:
    from torch import Tensor


def group_advantage(reward: Tensor, group: Tensor) -> Tensor:
    """A_i = (r_i - mean_G r) / std_G r, with the unbiased standard deviation (ddof 1); 0 where all rewards of a group are equal.

    ``reward`` [R], ``group`` [R] int64 -> [R]. Source: arXiv 2402.03300; ddof 1 from arXiv 2604.11056, Fig. 8 (G = 8 spans +-2.475).
    """
    index = group.unique(return_inverse=True)[1]
    deviation = reward.double() - segment_mean(reward, index)
    others = (segment_sum(index.new_ones(len(index)), index) - 1).clamp(min=1)
    std = (segment_sum(deviation.square(), index) / others).sqrt()
    equal = std <= 1e-12
    return (deviation / std.masked_fill(equal, 1.0)).masked_fill(equal, 0.0).to(reward.dtype)
