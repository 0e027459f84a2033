"""A policy's weights in the form of a plain model, for engines with a copy of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_AS_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

# peft's names: an adapted layer holds the plain one under the first, and its own weights under names that hold the second. The experts of a
# mixture are one module with several weights, and an adapted layer around it for each of them, one inside the other.
_PLAIN, _ADAPTER = ".base_layer", ".lora_"


@torch.no_grad()
def plain_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """Name and value of each weight, shared ones once, named as ``save_pretrained`` names them; nothing in ``model`` is changed.

    A LoRA adapter is added to a copy of the weight it adapts, one weight at a time: what sampling sees is what training computes, and
    the trained weights keep every bit.
    """
    for name, parameter in model.named_parameters():
        if _ADAPTER in name:
            continue
        outer, adapted, inner = name.partition(_PLAIN)
        weight = name.rpartition(".")[2]
        for depth in range(name.count(_PLAIN)):
            layer = model.get_submodule(outer + depth * _PLAIN)
            if getattr(layer, "parameter_name", "weight") == weight:
                deltas = [layer.get_delta_weight(adapter) for adapter in layer.active_adapters]
                parameter = parameter + sum(deltas)
        yield (outer + inner.replace(_PLAIN, "") if adapted else name), parameter.detach()


def imprint(weight: Tensor) -> int:
    """What to know a weight by: the sum of its numbers' bits as integers, the same on any device and in any order of adding."""
    bits = weight.detach().contiguous().view(_AS_INTEGER[weight.element_size()])
    return int(bits.sum(dtype=torch.int64))
