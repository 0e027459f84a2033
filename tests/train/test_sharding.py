"""What is asked of a model's layers by name, for a model that names them otherwise."""

from __future__ import annotations

import pytest

from tests.architectures import VERIFIED, tiny
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.train.processes import ALONE
from tokencredit.train.sharding import trained_scorer


def test_a_model_whose_layers_have_another_name_is_trained_without_checkpointing_or_refused() -> None:
    model = tiny(*VERIFIED["gpt2"])
    training = load_study("config", "smoke").training
    assert trained_scorer(model, training, ALONE).model is model
    with pytest.raises(UserError, match=r"^GPT2LMHeadModel: its layers are not known .* gradient_checkpointing: false"):
        trained_scorer(model, training.model_copy(update={"gradient_checkpointing": True}), ALONE)
