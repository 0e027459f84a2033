"""Models of a configuration as benchmarks need them: with random weights, and with as many layers as there is memory for."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tokencredit.config import Architecture, load_study
from tokencredit.cost.architectures import declared_architecture, settings_of
from tokencredit.errors import UserError

# A GPU's passes are in bfloat16, as those of the studies that need one.
DEVICE, PRECISION = ("cuda", "bf16") if torch.cuda.is_available() else ("cpu", "no")
# Of a weight that is trained: itself, its gradient and AdamW's two moments, in float32.
TRAINED_BYTES = 16
_SHARE = 0.5  # of the free memory that they may take; activations grow with the layers too


def shape_of(model: str) -> Architecture:
    """The shape of a model of config/models.yaml. ``UserError`` where it is not written down, or is a mixture."""
    study = load_study("config", "smoke")
    if model not in study.config.models:
        raise UserError(
            f"--model {model}: config/models.yaml has no such model; allowed: {', '.join(study.config.models)}."
        )
    shape = declared_architecture(study, model)
    if shape is None or shape.experts > 1:
        raise UserError(f"--model {model}: needs an `architecture` in config/models.yaml, and no mixture.")
    return shape


def fitting(shape: Architecture, trained: int = 1) -> Architecture:
    """``shape`` with as many of its layers as half of the GPU's free memory holds while ``trained`` such models are trained.

    Without a GPU all of them. ``UserError`` where not even one layer fits.
    """
    if DEVICE == "cpu":
        return shape
    room = _SHARE * torch.cuda.mem_get_info()[0] / (TRAINED_BYTES * trained)
    for layers in range(shape.layers, 0, -1):
        cut = shape.model_copy(update={"layers": layers})
        if cut.parameters <= room:
            return cut
    raise UserError(
        f"a {shape.family} of width {shape.hidden_size}: embedding, head and one layer take {cut.parameters:,} trained weights, "
        f"and half of the GPU's free memory holds {room:,.0f}."
    )


def random_model(
    shape: Architecture, longest: int, dtype: torch.dtype = torch.float32, end: int | None = None
) -> PreTrainedModel:
    """A model of this shape, made on the device where it is to compute, whose token ``end``, if any, ends a response."""
    config = AutoConfig.for_model(
        **settings_of(shape),
        max_position_embeddings=longest,
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(DEVICE):
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


def wait() -> None:
    """Until the GPU, if there is one, has done what it was given."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
