"""The policy in memory: in one piece, or spread over the processes that train it (PyTorch's FSDP2, by accelerate).

A sharded weight, its gradient and its optimiser state lie in pieces, one in each process; a layer's weights are gathered for its pass and
let go after it. Gradients are summed over processes, not averaged: the weights of the loss belong to the batch of all processes already.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model, recursively_apply
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.utils import is_flash_attn_2_available

from tokencredit.config import Training
from tokencredit.errors import UserError
from tokencredit.policy import Scorer
from tokencredit.train.processes import Processes


def trained_scorer(policy: PreTrainedModel, training: Training, processes: Processes) -> Scorer:
    """The scorer whose weights are trained: those of ``policy`` itself, or of a sharded copy where there are several processes.

    ``policy`` stays in one piece, for whatever samples from it or looks into it; ``copy_weights`` brings it up to date.
    """
    if training.attention == "flash_attention_2" and not (
        is_flash_attn_2_available() and processes.device.type == "cuda"
    ):
        raise UserError(
            "training.attention = 'flash_attention_2' needs a GPU and the package flash-attn; 'sdpa' needs neither."
        )
    model = policy if processes.count == 1 else copy.deepcopy(policy)
    if training.attention != "sdpa":
        model.set_attn_implementation(training.attention)
    if training.gradient_checkpointing:
        for layer in _layers(model):
            # A layer keeps its input only, and computes the rest again for the backward pass.
            again = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
            layer.forward = wraps(layer.forward)(again)
    return ready(Scorer(model, training.sampling.temperature), training, processes)


def ready(scorer: Scorer, training: Training, processes: Processes) -> Scorer:
    """``scorer`` itself on its device, in the passes' precision, its weights sharded where there are several processes."""
    if training.mixed_precision == "bf16":
        # One precision whatever the number of processes: weights are gathered in float32 and cast in the pass. Every weight is used once in
        # a pass, so a cache of cast weights would hold the whole model for nothing.
        autocast = torch.autocast(processes.device.type, torch.bfloat16, cache_enabled=False)
        scorer.forward = autocast(scorer.forward)
    if processes.count == 1:
        return scorer.to(processes.device)
    names = sorted({type(layer).__name__ for layer in _layers(scorer.model)})
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", transformer_cls_names_to_wrap=names
    )
    accelerator = Accelerator(mixed_precision="no", cpu=processes.device.type == "cpu", fsdp_plugin=plugin)
    accelerator.state.fsdp_plugin = plugin  # accelerate itself keeps it on GPUs only
    fsdp2_prepare_model(accelerator, scorer)
    scorer.set_reshard_after_forward(True)
    for module in scorer.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return scorer


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None:
        raise UserError(
            f"{type(model).__name__}: its layers are not known as `layers`, as Llama's and Qwen's are; such a model is trained in one "
            f"process and with gradient_checkpointing: false."
        )
    return layers


def unsharded(tensor: Tensor) -> Tensor:
    """A tensor that may be sharded in one piece; all processes have to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every weight that training moves, one after the other, each in one piece; once where it is shared.

    All processes have to go through all of them.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, unsharded(parameter.detach())


@torch.no_grad()
def copy_weights(trained: nn.Module, policy: nn.Module) -> None:
    """Give ``policy`` the weights of ``trained``, a sharded copy of it; where it is no copy there is nothing to do."""
    if trained is policy:
        return
    targets = dict(policy.named_parameters())
    for name, weight in whole_weights(trained):
        targets[name].copy_(weight)


@torch.no_grad()
def load_weights(model: nn.Module, stored: Callable[[str], Tensor]) -> None:
    """Set every weight that training moves to ``stored`` of its name."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.copy_(_as(parameter, stored(name)))


def whole_state(optimizer: Optimizer, keep: bool) -> dict[str, Any]:
    """The optimiser's ``state_dict`` on the CPU with every tensor in one piece, the same from any number of processes.

    All processes have to ask for it; those that do not ``keep`` it are given no tensor.
    """

    def whole(value: Tensor) -> Tensor | None:
        tensor = unsharded(value)
        return tensor.cpu() if keep else None

    return recursively_apply(whole, optimizer.state_dict())


def load_state(optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Take over a ``whole_state``."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def laid_out(value: Tensor, parameter: Tensor) -> Tensor:
        return _as(parameter, value) if value.shape == parameter.shape else value

    state = {index: recursively_apply(laid_out, values, parameters[index]) for index, values in stored["state"].items()}
    optimizer.load_state_dict({**stored, "state": state})


def _as(parameter: Tensor, value: Tensor) -> Tensor:
    """``value``, which every process holds in one piece, laid out as ``parameter`` is; no part of a file that is mapped to memory."""
    if not isinstance(parameter, DTensor):
        return value.clone()
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
