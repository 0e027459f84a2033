"""How widely the position that predicts a token attends: the entropy of one layer's attention (arXiv 2605.07660)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tokencredit.errors import UserError
from tokencredit.policy.packing import Padded, Sequence
from tokencredit.policy.scoring import empty_rows, evaluating, micro_batch_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def attention_entropy(model: PreTrainedModel, sequences: list[Sequence], layer: int, budget: int) -> Tensor:
    """[N] float32 on the CPU, in [0, 1]: the entropy of ``layer``'s attention for each response token, over log(context length).

    The attention is that of the position which predicts the token, one place before it, as -sum_s a_s log a_s / log n, with a the mean
    of its heads' weights and n the positions that it may see, itself included; 0 where n is 1. ``layer`` counts from 0; negative
    numbers count from the last.

    The pass runs with eager attention in eval mode, both restored afterwards, over micro-batches of at most ``budget`` tokens. Each layer
    makes the [B, heads, T, T] weights of its micro-batch and lets them go before the next: at most 12 x heads x T x ``budget`` bytes, three
    float32 copies, with T the longest sequence.
    ``UserError`` for a model whose layers have no ``self_attn`` with weights, and for a layer that is not there.
    """
    attention = _attention(model, layer)
    values = empty_rows(sequences)
    with evaluating(model), _eager(model):
        for members, rows in micro_batch_rows(sequences, budget):
            values[rows] = _entropy(model, attention, Padded(members, model.device)).float().cpu()
    return values


def _entropy(model: PreTrainedModel, attention: nn.Module, batch: Padded) -> Tensor:
    """[n]: the normalised entropy of each response token of one micro-batch."""
    found: list[Tensor] = []

    def read(module: nn.Module, _: Any, arguments: dict[str, Any], output: tuple[Tensor, Tensor | None]) -> None:
        mask, weights = arguments["attention_mask"], output[1]
        if weights is None:
            raise UserError(
                f"attention entropies cannot be read from {type(model).__name__}: its {type(module).__name__} gives no weights."
            )
        # A layer with a sliding window sees less than what stands before it, and its mask says so: 0 where it sees.
        visible = batch.predicting((mask[:, 0] == 0).expand(len(batch.ids), -1, -1)).sum(-1)
        seen = torch.stack([batch.predicting(head).float() for head in weights.unbind(1)]).mean(0)
        # A context of one has entropy 0, whatever it is divided by.
        found.append(torch.special.entr(seen).sum(-1) / visible.clamp(min=2).log())

    handle = attention.register_forward_hook(read, with_kwargs=True)
    try:
        model.get_decoder()(input_ids=batch.ids, use_cache=False)
    finally:
        handle.remove()
    return found[0]


def _attention(model: PreTrainedModel, layer: int) -> nn.Module:
    name = type(model).__name__
    try:
        layers = model.get_decoder().layers
        if not -len(layers) <= layer < len(layers):
            raise UserError(
                f"attention layer {layer}: {name} has {len(layers)} layers; allowed: {-len(layers)} to {len(layers) - 1}."
            )
        return layers[layer].self_attn
    except AttributeError as error:
        raise UserError(
            f"attention entropies cannot be read from {name}: they need decoder layers with `self_attn`, as Llama and Qwen have."
        ) from error


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """Eager attention, the one implementation that gives its weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
