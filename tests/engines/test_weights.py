"""The weights that an engine with a copy of its own is given."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.architectures import VERIFIED, tiny
from tests.models import known_model, tiny_qwen3
from tokencredit.engines import load_engine, vllm_engine
from tokencredit.engines.weights import plain_weights
from tokencredit.errors import UserError
from tokencredit.policy import add_lora


@pytest.mark.parametrize("model", [tiny_qwen3(), known_model(torch.eye(8))], ids=["tied", "untied"])
def test_a_plain_model_gives_its_parameters_shared_ones_once(model) -> None:
    found = dict(plain_weights(model))
    assert list(found) == [name for name, _ in model.named_parameters()]
    assert ("lm_head.weight" in found) != model.config.tie_word_embeddings
    assert all(
        found[name] is not parameter and found[name].equal(parameter) for name, parameter in model.named_parameters()
    )
    assert not any(weight.requires_grad for weight in found.values())


@pytest.mark.slow
def test_an_adapter_is_added_to_copies_as_merging_would() -> None:
    model = tiny_qwen3()
    plain = {name: weight.clone() for name, weight in plain_weights(model)}
    adapter = add_lora(model, rank=2, alpha=4, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    before = copy.deepcopy(model.state_dict())
    found = dict(plain_weights(model))
    assert found.keys() == plain.keys()
    moved = {name for name in found if not found[name].equal(plain[name])}
    assert moved == {name for name in plain if name.endswith("proj.weight")}
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    merged = dict(adapter.merge().named_parameters())
    assert found.keys() == merged.keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, merged[name], atol=1e-12, rtol=0)


def test_without_vllm_its_engine_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"the package vllm is not installed here; docs/performance.md"):
        load_engine("vllm", tiny_qwen3(), None, longest=10)


@pytest.mark.parametrize(
    "name", ["qwen3_moe", "mixtral", "gpt_oss, windows and sinks", "deepseek_v3, latent attention", "jetmoe"]
)
def test_the_experts_of_a_mixture_are_adapted_and_pushed_as_merging_would(name: str) -> None:
    model = tiny(*VERIFIED.get(name, (name, {})))
    names = [each for each, _ in model.named_parameters()]
    experts = {each for each, parameter in model.named_parameters() if parameter.ndim == 3}
    assert experts
    plain = {each: weight.clone() for each, weight in plain_weights(model)}
    adapter = add_lora(model, rank=2, alpha=4, seed=0)
    with torch.no_grad():
        for each, parameter in model.named_parameters():
            if "lora_B" in each:
                parameter.normal_()
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        adapted = model(ids, use_cache=False).logits
    pushed = dict(plain_weights(model))
    assert sorted(pushed) == sorted(names)
    assert all(not pushed[each].equal(plain[each]) for each in experts)
    merged = dict(adapter.merge().named_parameters())
    for each, weight in pushed.items():
        torch.testing.assert_close(weight, merged[each], atol=1e-5, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(model(ids, use_cache=False).logits, adapted, atol=1e-3, rtol=0)
