"""Engines of vLLM, each made once for all tests; without vLLM nothing asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from transformers import Qwen3ForCausalLM

from tests.engines.vllm_cases import LONGEST, NAME, new_model
from tokencredit.base.pretrain import new_tokenizer
from tokencredit.config import Config
from tokencredit.data.embedded import generate_problems
from tokencredit.engines import load_engine


@pytest.fixture(scope="session")
def vllm_tokenizer():
    return new_tokenizer(Config("config").models[NAME])


@pytest.fixture(scope="session")
def prompts(vllm_tokenizer) -> list[tuple[int, ...]]:
    problems = generate_problems([1, 2], 12, 3, "train")["problem"]
    return [tuple(vllm_tokenizer(f"{problem}\n").input_ids) for problem in problems]


@pytest.fixture(scope="session", params=["tied", "untied"])
def case(request: pytest.FixtureRequest, vllm_tokenizer) -> Iterator[tuple[Qwen3ForCausalLM, object]]:
    """A model and an engine made for it, at temperature 1. A test that pushes other weights pushes the model's own again."""
    model = new_model(request.param == "tied")
    engine = load_engine("vllm", model, vllm_tokenizer, longest=LONGEST, batch_size=64)
    yield model, engine
    engine.close()


@pytest.fixture(scope="session")
def warm(vllm_tokenizer) -> Iterator[tuple[Qwen3ForCausalLM, object]]:
    """A model and an engine made for log-probs at temperature 0.7."""
    model = new_model(tied=True)
    engine = load_engine("vllm", model, vllm_tokenizer, longest=LONGEST, temperature=0.7, batch_size=64)
    yield model, engine
    engine.close()
