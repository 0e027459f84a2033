"""A key-value cache for sampling: allocated once for a batch, read as views, and thinned out as rows finish."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, [rows, heads, capacity, head size], of which the first ``length`` columns are filled."""

    is_sliding = False

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, heads, _, size = key_states.shape
        self.keys = key_states.new_empty(rows, heads, self.capacity, size)
        self.values = value_states.new_empty(*value_states.shape[:2], self.capacity, value_states.shape[-1])
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def select(self, rows: Tensor) -> None:
        """Keep ``rows``, in that order; a row may come several times. A layer that reads another's keys has none of its own."""
        if not self.is_initialized:
            return
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(len(rows), *old.shape[1:])
            new[:, :, : self.length] = old[:, :, : self.length].index_select(0, rows)
            setattr(self, name, new)

    def fork(self, rows: Tensor, back: Tensor) -> None:
        """Row r becomes row ``rows[r]`` without its last ``back[r]`` columns; what stays moves to the right, as padding is on the left."""
        self.select(rows)
        if not self.is_initialized:
            return
        source = (torch.arange(self.length, device=back.device) - back[:, None]).clamp(min=0)[:, None, :, None]
        for part in (self.keys, self.values):
            held = part[:, :, : self.length]
            held.copy_(held.gather(2, source.expand_as(held)))

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.capacity


class SamplingCache(Cache):
    """The cache of a whole model with ``layers`` layers for sequences of up to ``capacity`` tokens."""

    def __init__(self, layers: int, capacity: int) -> None:
        super().__init__(layers=[_Layer(capacity) for _ in range(layers)])

    def select(self, rows: Tensor) -> None:
        for layer in self.layers:
            layer.select(rows)

    def fork(self, rows: Tensor, back: Tensor) -> None:
        for layer in self.layers:
            layer.fork(rows, back)


def left_padding(lengths: Tensor, width: int) -> Tensor:
    """[rows, width] bool: True where a row of ``lengths`` tokens, padded on the left, has a token."""
    return torch.arange(width, device=lengths.device) >= width - lengths[:, None]
