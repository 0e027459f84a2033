"""The shape that is read from a model's own config.json, for families that name its numbers in different ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tokencredit.config import HubModel, load_study
from tokencredit.cost import Terms, estimate
from tokencredit.cost.architectures import read_architecture, settings_of
from tokencredit.errors import UserError
from tokencredit.files import write_json

from ..config.conftest import spoil  # noqa: F401
from .conftest import shape

# Small layers, few of them, so that biases and norms are as few beside matrices as in released models.
SMALL = {"vocab_size": 5000, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
USUAL = {**SMALL, "intermediate_size": 512}
EXPERTS = {**USUAL, "num_local_experts": 4, "num_experts_per_tok": 2}
FAMILIES = {
    "llama": USUAL,
    "mistral": USUAL | {"num_key_value_heads": 2, "head_dim": 32},
    "gemma2": USUAL | {"num_key_value_heads": 2, "head_dim": 32},
    "phi3": USUAL | {"pad_token_id": 0},
    "starcoder2": USUAL | {"num_key_value_heads": 2},
    "gpt2": {"vocab_size": 5000, "n_embd": 256, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "gpt_neox": USUAL,
    "opt": {**SMALL, "ffn_dim": 1024, "word_embed_proj_dim": 256, "max_position_embeddings": 64},
    "falcon": SMALL | {"multi_query": True, "new_decoder_architecture": False},
    "mixtral": EXPERTS | {"num_key_value_heads": 2},
    "qwen3_moe": {**USUAL, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 128, "head_dim": 64},
}


def released(parameters: int) -> HubModel:
    return HubModel(kind="hub", title="X", id="a/b", parameters=parameters, prompt="{problem}")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shape_of_a_family_has_its_weights(family: str) -> None:
    config = AutoConfig.for_model(family, **FAMILIES[family])
    with torch.device("meta"):
        weights = AutoModelForCausalLM.from_config(config).num_parameters()
    settings = json.loads(config.to_json_string(use_diff=False))
    shape = read_architecture(settings, released(weights))
    assert shape.parameters == pytest.approx(weights, rel=0.05)
    assert (shape.layers, shape.hidden_size, shape.vocabulary) == (2, 256, 5000)
    if shape.experts > 1:
        assert (shape.experts, shape.active_experts) == (4, 2)
        assert shape.active_matrices < shape.layer_matrices
    with pytest.raises(UserError, match="correct it, or write the `architecture` down"):
        read_architecture(settings, released(2 * weights))


@pytest.mark.parametrize("more", [{}, {"family": "mixtral", "experts": 4, "active_experts": 2}])
def test_a_shape_written_down_and_read_again_is_the_same(more: dict[str, Any]) -> None:
    """Its settings are those that transformers makes the model of."""
    written = shape(**more)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings_of(written)))
    assert model.num_parameters() == pytest.approx(written.parameters, rel=0.02)
    for settings in (settings_of(written), json.loads(model.config.to_json_string(use_diff=False))):
        assert read_architecture(settings, released(written.parameters)) == written


def test_a_study_is_estimated_from_what_is_fetched(spoil, tmp_path: Path) -> None:  # noqa: F811
    config = AutoConfig.for_model("llama", **USUAL)
    with torch.device("meta"):
        weights = AutoModelForCausalLM.from_config(config).num_parameters()
    folder = spoil(
        *("models.yaml", "models.released.parameters", weights),
        *("studies/one.yaml", "evaluation.rows.0.model", "released"),
    )
    study = load_study(folder, "one")
    with pytest.raises(
        UserError, match=r"models\.released\.architecture: this key is missing, and the model is not fetched"
    ):
        estimate(study, Terms(), tmp_path)
    config.save_pretrained(tmp_path / "elsewhere")
    write_json(tmp_path / "models/released/model.json", {"path": str(tmp_path / "elsewhere")})
    assert estimate(study, Terms(), tmp_path).released_bytes.value == pytest.approx(2 * weights)
    (tmp_path / "elsewhere/config.json").write_text('{"model_type": "odd"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json does not tell it"):
        estimate(study, Terms(), tmp_path)
