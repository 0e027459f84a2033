"""What a model does between its last state and its logits: a product, and in some families a bias, a scale or a soft cap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tokencredit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The largest logits of the states that a head is tried with: small ones, where a soft cap is a line, and some above every cap in use.
_LARGEST = (1.0, 8.0, 64.0)
# The largest difference that is rounding, as a share of the largest logit. A wrong scale or cap is off by more than a tenth.
_ROUNDING = {torch.float64: 1e-6, torch.float32: 2e-3, torch.bfloat16: 4e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Head:
    """logits = scale (state weight^T + bias), and with a ``cap`` cap tanh(logits / cap); weight and bias are the module's own."""

    scale: float
    cap: float | None

    def logits(self, states: Tensor, module: nn.Module) -> Tensor:
        """[n, V] of ``states`` [n, H], for few states."""
        made = module(states) if self.scale == 1 else self.scale * module(states)
        return made if self.cap is None else self.cap * torch.tanh(made / self.cap)


@torch.no_grad()
def head_of(model: PreTrainedModel) -> Head:
    """What ``model`` does to a state, found by giving its own ``forward`` some states in place of its decoder's.

    Scales and caps are numbers of the configuration with "logit" or "lm_head" in their name. One and the same name multiplies in one family
    and divides in another (``logits_scaling`` of HyperCLOVA X and of Granite), so what a number does is tried, not read.
    ``UserError`` where no way of using them gives the model's logits.
    """
    module, name = model.get_output_embeddings(), type(model).__name__
    if getattr(module, "weight", None) is None or model.get_decoder() in (None, model):
        raise UserError(f"{name} cannot be scored: it does not tell its decoder from its head. Use another model.")
    states = _states(module.weight)
    try:
        found = _logits(model, states)
        error, head = min(
            ((float((head.logits(states, module) - found).abs().max()), head) for head in _heads(model)),
            key=lambda tried: tried[0],
        )
    except (TypeError, AttributeError, RuntimeError) as broken:
        raise UserError(
            f"{name} cannot be scored: between its last state and its head is more than a product ({broken}). Use another model."
        ) from broken
    share = error / float(found.abs().max())
    if not share <= _ROUNDING[states.dtype]:
        raise UserError(
            f"{name} cannot be scored: product, bias, scale and soft cap of its configuration are {share:.2g} of the largest logit away "
            f"from the logits that it makes. Its log-probs and entropies would be wrong; use another model."
        )
    return head


def _heads(model: PreTrainedModel) -> Iterator[Head]:
    """The heads that the numbers of a configuration allow; the plain one first."""
    config = model.config.get_text_config(decoder=True)
    values = [getattr(config, name) for name in dir(config) if "logit" in name or "lm_head" in name]
    numbers = [
        float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    ]
    scales = [1.0, *(scale for number in numbers for scale in (number, 1 / number))]
    yield from (Head(scale, cap) for cap in (None, *numbers) for scale in scales)


def _states(weight: Tensor) -> Tensor:
    """[n, H]: states whose largest logits are ``_LARGEST``; the same for every model of a shape."""
    random = torch.Generator().manual_seed(0)
    states = torch.randn(len(_LARGEST), weight.shape[1], generator=random).to(weight)
    largest = (states @ weight.T).abs().amax(1, keepdim=True)
    return states * (torch.tensor(_LARGEST).to(weight)[:, None] / largest.clamp(min=torch.finfo(weight.dtype).tiny))


class _Outputs:
    """A decoder's output that holds states and nothing else, whatever is asked for."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, place: Any) -> Any:
        return self.last_hidden_state if place == 0 else (None if isinstance(place, int) else ())


def _logits(model: PreTrainedModel, states: Tensor) -> Tensor:
    ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
    with _decoding(model.get_decoder(), states[None]):
        return model(input_ids=ids, use_cache=False).logits[0].to(states.dtype)


@contextmanager
def _decoding(decoder: nn.Module, states: Tensor) -> Iterator[None]:
    """``decoder`` gives ``states``, whatever it reads."""
    decoder.forward = lambda *args, **named: _Outputs(states)
    try:
        yield
    finally:
        del decoder.forward
