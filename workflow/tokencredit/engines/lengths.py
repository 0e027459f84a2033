"""How long a model reads: its positions, the lengths beyond which it computes otherwise, and frequencies that depend on a pass's length."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tokencredit.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# What configurations call the reach of a layer that does not see everything before it.
_WINDOWS = ("sliding_window", "attention_chunk_size", "local_attention", "attention_window_size", "window_size")
_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


def text_config(model: PreTrainedModel) -> PretrainedConfig:
    """The configuration of the part that reads and writes text; of most models there is no other."""
    return model.config.get_text_config(decoder=True)


def positions(model: PreTrainedModel) -> int:
    """The most tokens that ``model`` was made to read; ``sys.maxsize`` where its positions have no end."""
    if any(_is_dynamic(kind) for _, kinds in _rotary(model) for kind in kinds):
        return sys.maxsize
    return getattr(text_config(model), "max_position_embeddings", None) or sys.maxsize


def check_length(model: PreTrainedModel, tokens: int, what: str) -> None:
    """``UserError`` where ``tokens``, said to be ``what``, are more than ``model`` has positions for."""
    room = positions(model)
    if tokens > room:
        raise UserError(f"{what} may take {tokens} tokens; the model has positions for {room}.")


def boundaries(model: PreTrainedModel, longest: int) -> list[int]:
    """The lengths below ``longest`` tokens beyond which ``model`` computes otherwise: ends of windows, and of the rope's first stretch."""
    config = text_config(model)
    found = {getattr(config, name, None) for name in _WINDOWS}
    if list(_rotary(model)):
        found.add(getattr(config, "max_position_embeddings", None))
        rope = getattr(config, "rope_parameters", None) or {}
        for part in (rope, *rope.values()):
            if isinstance(part, dict):
                found.add(part.get("original_max_position_embeddings"))
    return sorted(length for length in found if isinstance(length, int) and 0 < length < longest)


def settle_rope(model: PreTrainedModel, longest: int) -> None:
    """Give a rope whose frequencies depend on the length of the pass those of ``longest`` tokens, in every pass from now on.

    Such are dynamic NTK and LongRoPE: a token's log-prob would depend on what is written after it, and cached keys would be rotated by
    other frequencies than new ones. Settled, sampler, scorer and ``model(ids)`` are one model, that of a sequence of ``longest`` tokens.
    Other models are left alone. ``UserError`` for a ``longest`` above the one that was settled first, and in passes that are longer.
    """
    for module, kinds in _rotary(model):
        if not any(_is_dynamic(kind) or kind == "longrope" for kind in kinds):
            continue
        settled = getattr(module, "settled_tokens", None)
        if settled is None:
            module.settled_tokens = longest
            module.register_forward_pre_hook(_with_last, with_kwargs=True)
            module.register_forward_hook(_without_last)
        elif longest > settled:
            raise UserError(_too_long(longest, settled))


def check_attention(model: PreTrainedModel) -> None:
    """``UserError`` for a model some of whose layers are not attention: the sampler's cache holds keys and values, and no other state."""
    others = sorted(set(getattr(text_config(model), "layer_types", None) or ()) - _ATTENTION)
    if others or getattr(type(model), "_is_stateful", False):
        kinds = f"layers of kind {', '.join(others)}" if others else "layers with a state of their own"
        raise UserError(
            f"engine 'transformers' cannot sample from {type(model).__name__}: it has {kinds}, and only attention's keys and values are "
            f"kept between tokens. Use engine 'vllm', or a model whose layers are all attention."
        )


def _rotary(model: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """The modules that make rotary positions, and the kinds of rope that they know."""
    for module in model.modules():
        kind = getattr(module, "rope_type", None)
        if kind is not None:
            yield module, list(kind.values()) if isinstance(kind, dict) else [kind]


def _is_dynamic(kind: str) -> bool:
    return "dynamic" in kind


def _with_last(
    module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The last position of the longest pass, added to those that a rotary module is asked for: its frequencies follow the largest."""
    given = named["position_ids"] if "position_ids" in named else args[1]
    if int(given.max()) >= module.settled_tokens:
        raise UserError(_too_long(int(given.max()) + 1, module.settled_tokens))
    more = torch.cat([given, given.new_full((*given.shape[:-1], 1), module.settled_tokens - 1)], dim=-1)
    if "position_ids" in named:
        return args, {**named, "position_ids": more}
    return (args[0], more, *args[2:]), named


def _without_last(module: nn.Module, args: tuple[Any, ...], made: Tensor | tuple[Tensor, ...]) -> Any:
    return made[:, :-1] if isinstance(made, Tensor) else tuple(part[:, :-1] for part in made)


def _too_long(tokens: int, settled: int) -> str:
    return (
        f"a pass of {tokens} tokens: the model's rotary frequencies depend on the length of a pass and were fixed for {settled} tokens, "
        f"the longest sequence of its stage."
    )
