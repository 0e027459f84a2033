"""Checks of one process: head, updates and layouts on the device against float64 on the CPU.

The bounds are five to fifty times the errors that were seen on a CPU, where rounding to TF32 was done by hand.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM
from transformers.utils import is_flash_attn_2_available

from tokencredit.policy import Sequence, token_stats
from tokencredit.policy.packing import Layout, Packed, Padded, SharedPrompts
from tokencredit.seeds import derive_seed
from tokencredit.tools.node.case import (
    BFLOAT16,
    FLASH_ATTENTION,
    FLOAT32,
    FLOAT64,
    Apart,
    Precision,
    apart,
    computed,
    exact,
    new_case,
)
from tokencredit.tools.node.node import LeftOutError, Node, demand

# Of an update, as ``Apart`` has it. Norms and scores are in float32 even under float64; AdamW's first move has the sign of a gradient,
# rounding or not.
_LOW = Apart(logprob=0.5, entropy=0.5, loss=5e-3, gradient=0.15, move=torch.inf)
BOUNDS = {
    FLOAT64: Apart(logprob=1e-5, entropy=1e-5, loss=1e-8, gradient=1e-6, move=1e-4),
    FLOAT32: Apart(logprob=1e-4, entropy=1e-4, loss=1e-6, gradient=1e-4, move=torch.inf),
    BFLOAT16: _LOW,
    FLASH_ATTENTION: _LOW,
}
# Of the head: nats, and the share of a gradient's length, by the inputs' dtype and whether autocast lets a GPU round to TF32.
_HEAD = {
    (torch.float32, False): (1e-4, 1e-4),
    (torch.bfloat16, False): (1e-4, 1e-2),
    (torch.float32, True): (2e-2, 1e-2),
}
_TOKENS, _WIDTH, _VOCABULARY = 64, 256, 40_000  # three tiles
_LOGITS = 4.0  # their standard deviation
_LAYOUT = 1e-4  # nats, in float32


def head(node: Node) -> str:
    """Log-probs, entropies and both gradients of the head against a plain log-softmax."""
    told = []
    for (dtype, autocast), (nats, share) in _HEAD.items():
        states, weight, target, factor = _head_inputs(dtype)
        precise = [each.double().requires_grad_() for each in (states, weight)]
        logprobs = (precise[0] @ precise[1].T).log_softmax(-1)
        wanted = logprobs.gather(1, target[:, None]).squeeze(1), -(logprobs.exp() * logprobs).sum(-1)
        (factor * wanted[0] + factor.flip(0) * wanted[1]).sum().backward()
        here = [each.to(node.device).requires_grad_() for each in (states, weight)]
        target, factor = target.to(node.device), factor.to(node.device)
        with torch.autocast(node.device.type, torch.bfloat16, enabled=autocast):
            found = token_stats(here[0], here[1], target)
        (factor * found[0] + factor.flip(0) * found[1]).sum().backward()
        error = max(float((a.cpu() - b).detach().abs().max()) for a, b in zip(found, wanted, strict=True))
        gradient = max(
            float((a.grad.cpu() - b.grad).norm() / b.grad.norm()) for a, b in zip(here, precise, strict=True)
        )
        name = f"{str(dtype).removeprefix('torch.')}{' under autocast' if autocast else ''}"
        demand(f"the head in {name}", {"log-probs or entropies": (error, nats), "a gradient": (gradient, share)})
        told.append(f"{name} {error:.1g}")
    return f"log-probs and entropies, largest error in nats: {', '.join(told)}"


def float64(node: Node) -> str:
    """A whole update in float64."""
    return _update(node, FLOAT64)


def float32(node: Node) -> str:
    """A whole update in float32."""
    return _update(node, FLOAT32)


def bfloat16(node: Node) -> str:
    """A whole update under ``mixed_precision: bf16``."""
    return _update(node, BFLOAT16)


def flash_attention(node: Node) -> str:
    """The same under ``attention: flash_attention_2``."""
    if not (node.on_gpu and is_flash_attn_2_available()):
        raise LeftOutError("flash-attn is not installed here" if node.on_gpu else "flash-attn needs a GPU")
    return _update(node, FLASH_ATTENTION)


def packing(node: Node) -> str:
    """Log-probs of sequences in a pass together, in each layout, against those of each sequence alone."""
    case = new_case(node.config)
    model = case.model.float().to(node.device)
    alone = torch.cat([_logprobs(model, Padded, [sequence]) for sequence in case.sequences])
    layouts: tuple[type[Layout], ...] = (Padded, SharedPrompts, Packed)
    errors = {
        layout.__name__: float((_logprobs(model, layout, case.sequences) - alone).abs().max()) for layout in layouts
    }
    demand("log-probs of a pass", {f"layout {name}": (error, _LAYOUT) for name, error in errors.items()})
    return f"largest difference to sequences alone, nats: {_listed(errors)}"


def within(what: str, found: Apart, precision: Precision) -> None:
    """``UserError`` unless every part of ``found`` is within the bounds of ``precision``."""
    bounds = asdict(BOUNDS[precision])
    demand(what, {name: (error, bounds[name]) for name, error in asdict(found).items() if bounds[name] < torch.inf})


def _update(node: Node, precision: Precision) -> str:
    case = new_case(node.config)
    found = apart(computed(case, node.alone, precision), exact(case))
    within("an update", found, precision)
    return f"log-probs {found.logprob:.1g} nats, loss {found.loss:.1g}, gradient {found.gradient:.1g} of its length from float64"


def _head_inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random states, weight and targets, and a factor of the loss for each token."""
    random = torch.Generator().manual_seed(derive_seed("node check"))
    states = torch.randn(_TOKENS, _WIDTH, generator=random).to(dtype)
    weight = torch.randn(_VOCABULARY, _WIDTH, generator=random).mul_(_LOGITS / _WIDTH**0.5).to(dtype)
    target = torch.randint(0, _VOCABULARY, (_TOKENS,), generator=random)
    return states, weight, target, torch.randn(_TOKENS, generator=random)


@torch.no_grad()
def _logprobs(model: Qwen3ForCausalLM, layout: type[Layout], sequences: list[Sequence]) -> Tensor:
    """[N] on the CPU: of the response tokens, all sequences in one pass."""
    batch = layout(sequences, model.device)
    states = model.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state
    return token_stats(batch.predicting(states), model.get_output_embeddings().weight, batch.tokens)[0].cpu()


def _listed(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.1g}" for name, error in errors.items())
