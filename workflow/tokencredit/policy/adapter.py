"""A LoRA adapter inside the policy, and how far it moves the states that predict the tokens (arXiv 2606.00257, ARCA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tokencredit.errors import UserError
from tokencredit.policy.packing import Layout, Sequence, layout_of
from tokencredit.policy.scoring import empty_rows, evaluating, micro_batch_rows

if TYPE_CHECKING:
    from peft import LoraModel
    from transformers import PreTrainedModel

_STATE_SPACE = {"A_log", "D"}  # what Mamba's layers have of their own


def add_lora(model: PreTrainedModel, rank: int, alpha: int, seed: int) -> Adapter:
    """Put LoRA of ``rank``, scaled by ``alpha / rank``, without dropout, on all linear layers of ``model`` but the head, in place.

    The experts of a mixture are linear layers too, kept as one weight of three dimensions; a router that is no such layer has none.
    Only the adapter's weights require a gradient afterwards; they are kept in float32, or in float64 where the model is. A is drawn by
    ``seed`` alone and B is 0, so the model's outputs are what they were. ``UserError`` for a rank below 1, a second adapter, and a model
    some of whose layers it cannot be put on.
    """
    # Imported here, so that what only scores and samples needs no peft.
    from peft import LoraConfig, LoraModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    if rank < 1:
        raise UserError(f"the adapter's rank is {rank}; it must be at least 1.")
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise UserError(f"this {type(model).__name__} has an adapter already; merge it before another is added.")
    layers, experts = _places(model)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=[f"model.{name}" for name in layers],
        target_parameters=[f"model.{name}" for name in experts],
    )
    # peft draws A on the CPU, wherever the model is; torch.manual_seed would disturb the generators of GPUs too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        # In a module without a configuration: by that of a mixture peft takes the layers beside the experts for the experts themselves,
        # leaves them without an adapter and doubles the rank of the experts'.
        tuner = LoraModel(nn.ModuleDict({"model": model}), config, "policy")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return Adapter(model, tuner)


def _places(model: PreTrainedModel) -> tuple[list[str], list[str]]:
    """The linear layers of ``model`` but its head, and the weights of its experts: matrices, one for each expert, in one parameter.

    ``UserError`` for a matrix that is neither, nor of an embedding, a convolution or a router: it would be left as it is.
    """
    from transformers.pytorch_utils import Conv1D

    layers, experts, head = [], [], model.get_output_embeddings()
    for name, module in model.named_modules():
        weights = dict(module.named_parameters(recurse=False))
        if weights.keys() >= _STATE_SPACE:
            raise UserError(
                _unadapted(model, f"{name} is a state-space layer, whose kernels read its weights past an adapter")
            )
        if module is head or isinstance(module, (nn.Embedding, _ConvNd)):
            continue
        if isinstance(module, Conv1D) or (isinstance(module, nn.Linear) and _is_product(module)):
            layers.append(name)
            continue
        kind = type(module).__name__
        for weight, values in weights.items():
            if weight.endswith("bias") or sum(size > 1 for size in values.shape) < 2 or _is_router(name, kind):
                continue
            if values.ndim != 3 or "expert" not in f"{name}.{kind}".lower():
                raise UserError(_unadapted(model, f"{name}.{weight} is no weight of a linear layer ({kind})"))
            experts.append(f"{name}.{weight}")
    if not layers:
        raise UserError(_unadapted(model, "it has no linear layer"))
    return layers, experts


@torch.no_grad()
def _is_product(layer: nn.Linear) -> bool:
    """Whether a linear layer gives its product and nothing else, so that peft can stand in its place; classes have passes of their own."""
    if type(layer).forward is nn.Linear.forward:
        return True
    tried = torch.linspace(-1, 1, layer.in_features).to(layer.weight)[None]
    try:
        own = layer(tried)
    except (TypeError, ValueError, RuntimeError):
        return False
    plain = nn.functional.linear(tried, layer.weight, layer.bias)
    return isinstance(own, Tensor) and own.shape == plain.shape and torch.allclose(own, plain, rtol=0.02, atol=1e-3)


def _is_router(name: str, kind: str) -> bool:
    """Whether a module of this name and class chooses the experts of a token."""
    return "router" in kind.lower() or name.rpartition(".")[2] in ("gate", "router")


def _unadapted(model: PreTrainedModel, why: str) -> str:
    return (
        f"LoRA cannot be put on this {type(model).__name__}: {why}. Train all of its weights (lora_rank: 0), or use a model whose layers "
        f"are attention and feed-forward; docs/models.md lists those that are known to work."
    )


class Adapter:
    """The adapter that ``add_lora`` put into ``model``; ``model`` stays the object that scores, samples and is trained."""

    def __init__(self, model: PreTrainedModel, tuner: LoraModel) -> None:
        self.model = model
        self._tuner = tuner
        self._merged = False

    @torch.no_grad()
    def residual_norm(self, sequences: list[Sequence], budget: int) -> Tensor:
        """[N] float32 on the CPU: a_t = ||h_t(adapter on) - h_t(adapter off)||_2 for each response token, in the order given.

        h_t is the last hidden state, after the final norm, one place before the token: what the head reads to predict it. Two passes in
        eval mode over micro-batches of at most ``budget`` tokens, in the weights' own precision: under autocast the difference of two
        nearly equal states would be rounding. 0 before the first update.
        """
        if self._merged:
            raise ValueError(
                "the adapter has been merged into the model: there is no state without it to compare with."
            )
        norm = empty_rows(sequences)
        layout = layout_of(self.model)
        with evaluating(self.model):
            for members, rows in micro_batch_rows(sequences, budget, layout):
                batch = layout(members, self.model.device)
                moved = self._states(batch)
                with self._off():
                    moved -= self._states(batch)
                norm[rows] = torch.linalg.vector_norm(moved, dim=-1).float().cpu()
        return norm

    def merge(self) -> PreTrainedModel:
        """``model`` itself, its weights changed by the adapter's and the adapter gone: it is saved and loaded as a plain model."""
        self._merged = True
        self._tuner.merge_and_unload()
        return self.model

    def _states(self, batch: Layout) -> Tensor:
        """[n, H], in float32 or wider."""
        states = batch.predicting(self.model.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state)
        return states.to(torch.promote_types(states.dtype, torch.float32))

    @contextmanager
    def _off(self) -> Iterator[None]:
        self._tuner.disable_adapter_layers()
        try:
            yield
        finally:
            self._tuner.enable_adapter_layers()
