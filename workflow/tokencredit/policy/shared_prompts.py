"""Attention of a pass in which each prompt stands once, for all of its responses (arXiv 2506.05433).

The tokens of the pass are one row without padding. For attention alone they are laid out as rectangles: prompts attend to themselves, and
each response to its prompt and itself, so that nothing is computed between responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


@dataclass(frozen=True)
class Rectangle:
    """Sequences of tokens, one after the other, as rows padded on the right; ``places`` [n] int64: the place of each of their n tokens."""

    rows: int
    width: int
    places: Tensor

    @classmethod
    def of(cls, lengths: list[int]) -> Rectangle:
        width = max([1, *lengths])
        column = torch.arange(width).expand(len(lengths), -1)
        filled = column < torch.tensor(lengths, dtype=torch.long)[:, None]
        return cls(len(lengths), width, filled.flatten().nonzero()[:, 0])

    def to(self, device: torch.device | str) -> Rectangle:
        return Rectangle(self.rows, self.width, self.places.to(device))

    def filled(self) -> Tensor:
        """[rows, width] bool: where there is a token."""
        return (
            torch.zeros(self.rows * self.width, dtype=torch.bool).index_fill_(0, self.places, True).view(self.rows, -1)
        )

    def laid_out(self, tokens: Tensor) -> Tensor:
        """[n, ...] -> [rows, width, ...], 0 where there is no token."""
        whole = tokens
        if len(tokens) < self.rows * self.width:
            whole = tokens.new_zeros(self.rows * self.width, *tokens.shape[1:]).index_copy(0, self.places, tokens)
        return whole.unflatten(0, (self.rows, self.width))

    def taken_up(self, rows: Tensor) -> Tensor:
        """[rows, width, ...] -> [n, ...]."""
        whole = rows.flatten(0, 1)
        return whole if len(self.places) == len(whole) else whole.index_select(0, self.places)


@dataclass(frozen=True)
class Responses:
    """Responses of similar length; ``prompt`` [N] int64: that of each; ``mask`` [N, 1, R, P + R] bool: what each token sees of both."""

    places: Rectangle
    prompt: Tensor
    mask: Tensor

    @classmethod
    def of(cls, lengths: list[int], prompt: Tensor, prompts: Rectangle) -> Responses:
        places = Rectangle.of(lengths)
        before = prompts.filled()[prompt][:, None].expand(-1, places.width, -1)
        own = torch.ones(places.width, places.width, dtype=torch.bool).tril().expand(places.rows, -1, -1)
        return cls(places, prompt, torch.cat([before, own], -1)[:, None])

    def to(self, device: torch.device | str) -> Responses:
        return Responses(self.places.to(device), self.prompt.to(device), self.mask.to(device))


@dataclass(frozen=True)
class SharedAttention:
    """The sequences of a pass that come first, among them the prompts of its ``responses``, which follow."""

    firsts: Rectangle
    responses: list[Responses]

    def to(self, device: torch.device | str) -> SharedAttention:
        return SharedAttention(self.firsts.to(device), [each.to(device) for each in self.responses])


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
    # [T, heads, size]: so they lie in memory.
    runs = [len(shared.firsts.places), *(len(each.places.places) for each in shared.responses)]
    first, *others = zip(*(part[0].transpose(0, 1).split(runs) for part in (query, key, value)), strict=True)
    firsts = [shared.firsts.laid_out(part) for part in first]
    found, _ = sdpa_attention_forward(module, *_by_head(firsts), None, **options | {"is_causal": True})
    outputs = [shared.firsts.taken_up(found)]
    for each, parts in zip(shared.responses, others, strict=True):
        own = [each.places.laid_out(part) for part in parts]
        prompts = [part.index_select(0, each.prompt) for part in firsts[1:]]
        seen = [torch.cat(pair, 1) for pair in zip(prompts, own[1:], strict=True)]
        found, _ = sdpa_attention_forward(module, *_by_head([own[0], *seen]), each.mask, **options)
        outputs.append(each.places.taken_up(found))
    return torch.cat(outputs)[None], None


def _by_head(parts: list[Tensor]) -> list[Tensor]:
    return [part.transpose(1, 2) for part in parts]


AttentionInterface.register("sdpa", attention)
