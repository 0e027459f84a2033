"""Studies of the project's own configuration, as they are and changed in places, and tiny models of a given shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tokencredit.config import Architecture, Config, Study, StudyFile
from tokencredit.cost.architectures import settings_of

ROOT = Path(__file__).parents[2]
CONFIG = Config(ROOT / "config")


def study(name: str, **changes: Any) -> Study:
    """A study of the project with some keys changed; ``__`` in a name leads into a key: ``training__steps=3``."""
    plain = CONFIG.study(name)
    raw = plain.file.model_dump()
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for part in parents:
            place = place[part]
        place[last] = value
    return Study(name, StudyFile.model_validate(raw), CONFIG)


def shape(**changes: Any) -> Architecture:
    """A small architecture in which no two widths are the same."""
    plain = {
        "family": "qwen2",
        "hidden_size": 64,
        "layers": 3,
        "heads": 4,
        "kv_heads": 2,
        "head_size": 24,
        "intermediate_size": 224,
        "vocabulary": 400,
        "tied_head": False,
    }
    return Architecture(**{**plain, **changes})


def model_of(architecture: Architecture, attention: str = "sdpa") -> PreTrainedModel:
    """A model of this shape, float32, with random weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        **settings_of(architecture), max_position_embeddings=4096, attn_implementation=attention
    )
    return AutoModelForCausalLM.from_config(config)
