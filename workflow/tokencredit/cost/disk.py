"""Bytes that a study's jobs write: those that stay, and those that a training run needs while it runs."""

from __future__ import annotations

from tokencredit.config import Architecture, FolderModel, PackageModel, Released, Study
from tokencredit.cost.memory import adapter_weights
from tokencredit.cost.quantity import Quantity, assumed, given
from tokencredit.cost.terms import RELEASED_WEIGHT, ROLLOUT_ROW, TEXT_TOKEN

# Two checkpoints are kept, and a third is written before the oldest goes.
CHECKPOINTS = 3


def checkpoint_bytes(model: Architecture, lora_rank: int) -> Quantity:
    """One checkpoint: the trained weights and both moments of AdamW, float32."""
    trained = adapter_weights(model, lora_rank) if lora_rank else model.parameters
    return given(12 * trained)


def run_bytes(study: Study, model: Architecture, response_tokens: Quantity) -> Quantity:
    """What a finished training run leaves: its model in float32, and its stored rollouts."""
    training = study.training
    stored = 2 + (training.steps - 1) // training.rollouts.every
    rows = response_tokens * (stored * min(training.rollouts.prompts, training.prompts_per_step) * training.group_size)
    return given(4 * model.parameters) + rows * assumed(ROLLOUT_ROW)


def generation_bytes(responses: int, response_tokens: Quantity) -> Quantity:
    """The responses of one row to one benchmark."""
    return response_tokens * responses * assumed(TEXT_TOKEN)


def branch_bytes(tokens: Quantity) -> Quantity:
    """The counts of tokens that the oracle tried, a row each."""
    return tokens * assumed(ROLLOUT_ROW)


def released_bytes(model: Released, shape: Architecture) -> Quantity:
    """A released model on this disk: bfloat16 from the Hub, float32 where it is dequantised, nothing more where it lies in a folder."""
    if isinstance(model, FolderModel):
        return given(0)
    if isinstance(model, PackageModel):
        return given(4 * shape.parameters)
    return assumed(RELEASED_WEIGHT * shape.parameters)
