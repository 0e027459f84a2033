"""Statistics of flat values by segment (a response, a group, a group's position …), given back at every row.

All are taken in float64: equal float32 values have exactly their own mean, and the order of the rows moves nothing that float32 holds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def segment_sum(values: Tensor, segment: Tensor) -> Tensor:
    """[N], int64 [N] from 0 -> [N] float64: the sum of ``values`` over the row's segment."""
    return _sums(values, segment)[segment]


def segment_mean(values: Tensor, segment: Tensor) -> Tensor:
    """[N] float64: the mean of ``values`` over the row's segment."""
    return (_sums(values, segment) / _counts(segment))[segment]


def segment_zscore(values: Tensor, segment: Tensor) -> Tensor:
    """[N], in the dtype of ``values``: (value - mean) / standard deviation (ddof 0); 0 where a segment's values are all equal."""
    mean = segment_mean(values, segment)
    deviation = values.double() - mean
    sigma = segment_mean(deviation.square(), segment).sqrt()
    flat = sigma <= 1e-12 * (1.0 + mean.abs())
    return (deviation / sigma.masked_fill(flat, 1.0)).masked_fill(flat, 0.0).to(values.dtype)


def segment_quantile(values: Tensor, segment: Tensor, share: float) -> Tensor:
    """[N] float64: the ``share``-quantile of ``values`` over the row's segment, linear between neighbours."""
    ordered = values.double()[segment_order(values, segment)]
    counts = _counts(segment).long()
    first = counts.cumsum(0) - counts
    place = share * (counts - 1).clamp(min=0).double()
    below = place.floor()
    last = max(len(values) - 1, 0)
    low = ordered[(first + below.long()).clamp(max=last)]
    high = ordered[(first + place.ceil().long()).clamp(max=last)]
    return (low + (place - below) * (high - low))[segment]


def segment_order(values: Tensor, segment: Tensor) -> Tensor:
    """[N] int64: the rows segment after segment, in each by ascending value; equal values as they stand."""
    by_value = values.argsort(stable=True)
    return by_value[segment[by_value].argsort(stable=True)]


def segment_rows(segment: Tensor) -> tuple[Tensor, ...]:
    """The rows of each segment, int64, in their order; the segments by their number."""
    counts = _counts(segment).long().tolist()
    return segment.argsort(stable=True).split(counts)


def segment_highest(values: Tensor, segment: Tensor, share: float) -> Tensor:
    """[N] bool: the ceil(share T) largest of the T ``values`` of each segment, at least one, and those that equal the last of them."""
    order = segment_order(-values, segment)
    counts = _counts(segment)
    first = (counts.cumsum(0) - counts).long()
    kept = (share * counts - 1e-9).ceil().clamp(min=1).long()
    last = order[(first + kept - 1).clamp(max=max(len(values) - 1, 0))]
    return values >= values[last][segment]


def highest(values: Tensor, share: float) -> Tensor:
    """[N] bool: the ceil(share N) largest of ``values``, at least one, and those that equal the last of them."""
    # A product such as 0.2 * 105 may lie a rounding error above the whole number that is meant.
    count = max(1, math.ceil(share * len(values) - 1e-9))
    return values >= values.sort(descending=True).values[count - 1 : count]


def _sums(values: Tensor, segment: Tensor) -> Tensor:
    exact = values.double()
    segments = int(segment.max()) + 1 if len(segment) else 0
    return exact.new_zeros(segments).index_add_(0, segment, exact)


def _counts(segment: Tensor) -> Tensor:
    return _sums(segment.new_ones(len(segment)), segment)
