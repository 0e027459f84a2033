"""A LoRA adapter inside the policy, and how far it moves the states that predict the tokens (arXiv 2606.00257, ARCA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tokencredit.errors import UserError
from tokencredit.policy.packing import Layout, Sequence, layout_of
from tokencredit.policy.scoring import empty_rows, evaluating, micro_batch_rows

if TYPE_CHECKING:
    from peft import LoraModel
    from transformers import PreTrainedModel


def add_lora(model: PreTrainedModel, rank: int, alpha: int, seed: int) -> Adapter:
    """Put LoRA of ``rank``, scaled by ``alpha / rank``, without dropout, on all linear layers of ``model`` but the head, in place.

    The experts of a mixture are linear layers too, kept as one weight [experts, in, out]; a router that gives more than a product has none.
    Only the adapter's weights require a gradient afterwards; they are kept in float32, or in float64 where the model is. A is drawn by
    ``seed`` alone and B is 0, so the model's outputs are what they were. ``UserError`` for a rank below 1 or a second adapter.
    """
    # Imported here, so that what only scores and samples needs no peft.
    from peft import LoraConfig, LoraModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    if rank < 1:
        raise UserError(f"the adapter's rank is {rank}; it must be at least 1.")
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise UserError(f"this {type(model).__name__} has an adapter already; merge it before another is added.")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        target_parameters=_experts(model),
        exclude_modules=_routers(model),
    )
    # peft draws A on the CPU, wherever the model is; torch.manual_seed would disturb the generators of GPUs too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        tuner = LoraModel(model, config, "policy")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
    return Adapter(model, tuner)


def _experts(model: PreTrainedModel) -> list[str]:
    """The weights of the experts: matrices, one for each expert, in one parameter."""
    return [name for name, parameter in model.named_parameters() if parameter.ndim == 3 and "expert" in name]


def _routers(model: PreTrainedModel) -> list[str]:
    """Linear layers that do more than a product, so that peft cannot stand in their place."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and type(module).forward is not nn.Linear.forward
    ]


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
        return self._tuner.merge_and_unload()

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
