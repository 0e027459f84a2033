"""Attention of a pass in which each prompt stands once, for all of its responses (arXiv 2506.05433).

The tokens of the pass are one row without padding. For attention alone each response is laid out behind its prompt again, so that it is
causal attention of whole sequences: no mask, and nothing is computed between responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


@dataclass(frozen=True)
class SharedAttention:
    """Rectangles of whole sequences, padded on the right, and where the attention of each of the T tokens of a pass is read.

    ``rows`` [sequences, length] int64 each: the token of each place; any token where there is padding, which nothing sees. ``places`` [T]
    int64: one place of each token among those of all rectangles.
    """

    rows: list[Tensor]
    places: Tensor

    @classmethod
    def of(cls, sequences: list[list[Tensor]], tokens: int) -> SharedAttention:
        """Rectangles of ``sequences``, each the numbers of its tokens, of which there are ``tokens``."""
        rows = [nn.utils.rnn.pad_sequence(each, batch_first=True, padding_value=-1) for each in sequences]
        flat = torch.cat([each.flatten() for each in rows])
        filled = (flat >= 0).nonzero()[:, 0]
        places = torch.empty(tokens, dtype=torch.long).index_copy_(0, flat[filled], filled)
        return cls([each.clamp(min=0) for each in rows], places)

    def to(self, device: torch.device | str) -> SharedAttention:
        return SharedAttention([each.to(device) for each in self.rows], self.places.to(device))


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    shared: SharedAttention | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """transformers' ``sdpa``; with ``shared``, that of a pass as one row [1, heads, T, size]."""
    if shared is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    found = []
    for rows in shared.rows:
        laid_out = [_laid_out(part, rows) for part in (query, key, value)]
        found.append(sdpa_attention_forward(module, *laid_out, None, **options | {"is_causal": True})[0].flatten(0, 1))
    return torch.cat(found).flatten(1).index_select(0, shared.places).unflatten(1, found[0].shape[1:])[None], None


def _laid_out(part: Tensor, rows: Tensor) -> Tensor:
    """[1, heads, T, size] -> [sequences, heads, length, size]."""
    # As [T, heads * size], which is how it lies in memory, indexing is fastest.
    tokens = part[0].transpose(0, 1)
    return tokens.flatten(1).index_select(0, rows.flatten()).view(*rows.shape, *tokens.shape[1:]).transpose(1, 2)


AttentionInterface.register("sdpa", attention)
