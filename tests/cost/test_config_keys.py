"""The keys of the configuration that an estimate is made from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tokencredit.config import HubModel, load_study
from tokencredit.errors import UserError
from tokencredit.study.rules import Graph

from ..config.conftest import ABSENT, spoil  # noqa: F401
from .conftest import CONFIG, model_of, shape

SHAPE = {
    "family": "qwen2",
    "hidden_size": 8,
    "layers": 1,
    "heads": 2,
    "kv_heads": 1,
    "head_size": 4,
    "intermediate_size": 16,
    "vocabulary": 10,
}


@pytest.mark.parametrize(
    "changes", [{}, {"tied_head": True}, {"family": "qwen3"}, {"family": "llama"}, {"heads": 6, "layers": 1}]
)
def test_an_architecture_counts_the_weights_of_the_model(changes: dict) -> None:
    architecture = shape(**changes)
    assert architecture.parameters == sum(parameter.numel() for parameter in model_of(architecture).parameters())


def test_a_llama_has_the_weights_that_its_card_says() -> None:
    llama = {"family": "llama", "hidden_size": 2048, "layers": 16, "heads": 32, "kv_heads": 8, "head_size": 64}
    assert shape(**llama, intermediate_size=8192, vocabulary=128256, tied_head=True).parameters == 1_235_814_400


def test_every_released_model_has_an_architecture() -> None:
    """That its weights are as many as `parameters` says is checked when the file is read."""
    released = [model for model in CONFIG.models.values() if isinstance(model, HubModel)]
    assert released
    assert all(model.architecture is not None for model in released)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"models\.released: the architecture has 776 weights, and parameters = 1000"),
        ({"kv_heads": 3}, r"kv_heads = 3 must divide heads = 2"),
        ({"active_experts": 2}, r"active_experts = 2 must be experts = 1 at most"),
        ({"vocabulary": 0}, r"models\.released\.architecture\.vocabulary = 0"),
    ],
)
def test_wrong_facts_are_refused(spoil, changes: dict, message: str) -> None:  # noqa: F811
    folder = spoil("models.yaml", "models.released.architecture", {**SHAPE, **changes})
    with pytest.raises(UserError, match=message):
        load_study(folder, "one")


def test_right_facts_are_taken_and_change_no_digest(spoil) -> None:  # noqa: F811
    evaluated = (
        "models.yaml",
        "models.released.parameters",
        776,
        "studies/one.yaml",
        "evaluation.rows.0.model",
        "released",
    )
    plain = load_study(spoil(*evaluated), "one")
    told = load_study(spoil(*evaluated, "models.yaml", "models.released.architecture", SHAPE), "one")
    assert told.config.models["released"].architecture.parameters == 776
    assert told.evaluation_config(told.rows[0], "easy") == plain.evaluation_config(plain.rows[0], "easy")
    asked = SimpleNamespace(model="released")
    models = [Graph(study.config.folder, asked="one").model_config(asked) for study in (plain, told)]
    assert models[0] == models[1]


def test_an_unknown_gpu_is_refused_with_those_that_are_known(spoil) -> None:  # noqa: F811
    gpu = {
        "title": "One",
        "memory_gib": 10.0,
        "bf16_tflops": 1.0,
        "tf32_tflops": 1.0,
        "fp32_tflops": 1.0,
        "bandwidth_gb_s": 1.0,
    }
    folder = spoil("studies/one.yaml", "resources.gpu_model", "two")
    with pytest.raises(UserError, match=r"gpus\.yaml: no such file"):
        load_study(folder, "one")
    (folder / "gpus.yaml").write_text(f"gpus: {{one: {gpu}}}".replace("'", ""), encoding="utf-8")
    with pytest.raises(UserError, match=r"resources\.gpu_model = 'two': not known; allowed: one"):
        load_study(folder, "one")
