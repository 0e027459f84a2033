"""The adapter changes nothing before it is trained, is alone trained, and its residual norm belongs to the token it predicts."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from tests.architectures import REFUSED, VERIFIED, tiny
from tests.models import known_model, tiny_qwen3
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.errors import UserError
from tokencredit.policy import Adapter, Scorer, Sequence, add_lora
from tokencredit.records import Request
from tokencredit.train import checkpoint
from tokencredit.train.checkpoint import Progress

SEQUENCES = [
    Sequence((1, 2, 3), (4, 5, 6, 7, 0)),
    Sequence((9,), (8,)),
    Sequence((3, 1, 4, 1, 5), (9, 2)),
    Sequence((2, 7), (1, 8, 2, 8, 1, 8, 2, 8)),
]
PROJECTIONS = [
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
]


class Tokenizer:
    """What the engine needs of one."""

    eos_token_id = 22

    def decode(self, ids, **_: object) -> str:
        return " ".join(map(str, ids))


def weights(model: PreTrainedModel, kind: str = "lora_") -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if kind in name}


def trained(model: PreTrainedModel, seed: int = 0) -> Adapter:
    """The adapter of a model as training may have left it: B away from 0."""
    adapter = add_lora(model, rank=2, alpha=4, seed=seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in weights(model, "lora_B").values():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=random))
    return adapter


def tiny_qwen2(attention_dropout: float = 0.0) -> Qwen2ForCausalLM:
    """Biases in q, k and v and a head of its own, where Qwen3 here has neither."""
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        attention_dropout=attention_dropout,
        max_position_embeddings=64,
    )
    return Qwen2ForCausalLM(config).double().eval()


@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen2])
def test_it_sits_on_every_linear_layer_but_the_head_and_alone_is_trained(make) -> None:
    model = make()
    add_lora(model, rank=2, alpha=4, seed=0)
    places = {name.split(".lora_")[0] for name in weights(model)}
    expected = {f"model.layers.{layer}.{projection}" for layer in range(2) for projection in PROJECTIONS}
    assert places == expected
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == set(weights(model))
    sum(Scorer(model)(SEQUENCES)[0]).backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == set(weights(model))
    assert all(weight.grad.abs().sum() > 0 for weight in weights(model, "lora_B").values())


NO_LINEAR_LAYERS = re.compile(r"emb|wte|wpe|lm_head|bias$|router|mlp\.gate\.weight|conv")


@pytest.mark.parametrize("name", [*VERIFIED, "jetmoe", "qwen3_next"])
def test_no_linear_layer_and_no_expert_of_a_family_is_left_out(name: str) -> None:
    """Fused projections, layers with passes of their own, the layers beside a mixture's experts: all move by a product of the rank."""
    model = tiny(*(VERIFIED | REFUSED).get(name, (name, {}))[:2])
    plain = {each: weight.detach().clone() for each, weight in model.named_parameters() if weight.ndim > 1}
    ids = torch.tensor([SEQUENCES[0].prompt + SEQUENCES[0].response])
    adapter = trained(model)
    adapted = model(ids, use_cache=False).logits
    merged = dict(adapter.merge().named_parameters())
    for each in filter(lambda each: not NO_LINEAR_LAYERS.search(each), plain):
        rank = torch.linalg.matrix_rank(merged[each] - plain[each], rtol=1e-3)
        assert (rank == min(2, *plain[each].shape)).all(), each
    torch.testing.assert_close(model(ids, use_cache=False).logits, adapted, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mamba", r"MambaForCausalLM: backbone\.layers\.0\.mixer is a state-space layer"),
        ("falcon_mamba", r"FalconMambaForCausalLM: backbone\.layers\.0\.mixer is a state-space layer"),
        ("recurrent_gemma", r"rg_lru\.input_gate_weight is no weight of a linear layer \(RecurrentGemmaRglru\)"),
    ],
)
def test_a_model_with_layers_that_no_adapter_can_be_put_on_is_refused(name: str, why: str) -> None:
    model = tiny(*REFUSED.get(name, (name, {}))[:2])
    names = [each for each, _ in model.named_parameters()]
    with pytest.raises(UserError, match=f"LoRA cannot be put on this .*{why}.*lora_rank: 0"):
        add_lora(model, rank=2, alpha=4, seed=0)
    assert [each for each, _ in model.named_parameters()] == names


class Rounded(nn.Linear):
    """More than a product."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return super().forward(states).round()


def test_a_linear_layer_that_gives_more_than_a_product_is_refused() -> None:
    """An adapter beside it would be merged into weights that do something else."""
    model = tiny_qwen3()
    model.model.layers[1].mlp.up_proj = Rounded(16, 32, bias=False).double()
    with pytest.raises(
        UserError, match=r"model\.layers\.1\.mlp\.up_proj\.weight is no weight of a linear layer \(Rounded\)"
    ):
        add_lora(model, rank=2, alpha=4, seed=0)


def test_before_training_scores_and_samples_are_those_of_the_model() -> None:
    def numbers(model: PreTrainedModel) -> tuple:
        requests = [Request(sequence.prompt, seed) for seed, sequence in enumerate(SEQUENCES)]
        sampled = TransformersEngine(model, Tokenizer()).sample(requests, temperature=1.0, top_p=1.0, max_tokens=9)
        return [response.token_ids for response in sampled], Scorer(model).score(SEQUENCES, 20)

    model = tiny_qwen3()
    tokens, scores = numbers(model)
    adapter = add_lora(model, rank=2, alpha=4, seed=0)
    assert adapter.model is model
    tokens_with, scores_with = numbers(model)
    assert tokens_with == tokens
    assert all(torch.equal(one, other) for one, other in zip(scores, scores_with, strict=True))


def test_the_first_weights_are_of_the_seed_and_leave_torchs_random_state_alone() -> None:
    models = [tiny_qwen3() for _ in range(3)]
    for model, seed in zip(models, (5, 5, 2**64 - 1), strict=True):
        torch.rand(3)
        before = torch.get_rng_state()
        add_lora(model, rank=2, alpha=4, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
    one, same, other = (torch.cat([w.flatten() for w in weights(model, "lora_A").values()]) for model in models)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.abs().sum() > 0
    assert all(weight.abs().sum() == 0 for weight in weights(models[0], "lora_B").values())


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_the_adapter_is_kept_in_float32_or_wider(dtype: torch.dtype, kept: torch.dtype) -> None:
    model = tiny_qwen3().to(dtype)
    adapter = trained(model)
    assert {weight.dtype for weight in weights(model).values()} == {kept}
    assert model.model.embed_tokens.weight.dtype == dtype
    norm = adapter.residual_norm(SEQUENCES, 20)
    assert norm.dtype == torch.float32
    assert norm.min() > 0
    assert {parameter.dtype for parameter in adapter.merge().parameters()} == {dtype}


def test_the_norm_is_zero_before_training() -> None:
    """Dropout would move the states at random: it is off while they are compared."""
    model = tiny_qwen2(attention_dropout=0.5).train()
    adapter = add_lora(model, rank=2, alpha=4, seed=0)
    assert torch.equal(adapter.residual_norm(SEQUENCES, 20), torch.zeros(16))


def test_the_norm_is_that_of_the_state_which_predicts_the_token() -> None:
    """Against two plain models, one with the adapter merged, one sequence at a time."""
    model, plain, merged = tiny_qwen3(), tiny_qwen3(), tiny_qwen3()
    norm = trained(model).residual_norm(SEQUENCES, 20)
    merged = trained(merged).merge()
    place = 0
    for sequence in SEQUENCES:
        ids = torch.tensor([sequence.prompt + sequence.response])
        with torch.no_grad():
            moved = merged.model(ids).last_hidden_state[0] - plain.model(ids).last_hidden_state[0]
        for column in range(len(sequence.prompt) - 1, len(sequence) - 1):
            assert float(norm[place]) == pytest.approx(float(moved[column].norm()), rel=1e-5)
            place += 1
    assert place == len(norm)
    assert len(norm.unique()) > 5


def test_the_norm_of_an_adapter_set_by_hand() -> None:
    """An adapter that adds ``push(token)`` to one entry of a one-hot state: the norm is worked out without the model."""
    vocabulary, eps = 12, 1e-6
    model = known_model(torch.zeros(vocabulary, vocabulary, dtype=torch.float64))
    model.model.norm.weight.data.fill_(1.0)
    adapter = add_lora(model, rank=1, alpha=3, seed=0)
    mlp = model.model.layers[-1].mlp
    with torch.no_grad():
        # Each of the 8 inner states is silu(size) * size * (token + 1), with the size of the one-hot state after the layer's norm.
        mlp.gate_proj.weight.fill_(1.0)
        mlp.up_proj.weight.copy_(torch.arange(1.0, vocabulary + 1))
        mlp.down_proj.lora_A["policy"].weight.fill_(1.0)
        mlp.down_proj.lora_B["policy"].weight[0] = 0.002
    size = (1 / vocabulary + eps) ** -0.5

    def push(token: int) -> float:
        return 3 / 1 * 0.002 * 8 * size * size / (1 + math.exp(-size)) * (token + 1)

    expected = []
    sequences = [Sequence((3, 5), (2, 7, 1)), Sequence((4,), (9, 6))]
    for token in (5, 2, 7, 4, 9):
        length = math.sqrt((1 + push(token) ** 2) / vocabulary + eps)
        expected.append(math.hypot(1 / length - size, push(token) / length))
    obtained = adapter.residual_norm(sequences, 100)
    assert obtained.tolist() == pytest.approx(expected, rel=1e-4)
    assert obtained.diff().abs().min() > 0.01


@pytest.mark.slow
def test_micro_batches_and_order_change_nothing() -> None:
    adapter = trained(tiny_qwen3())
    whole = adapter.residual_norm(SEQUENCES, 1000)
    for budget in (1, 10, 25):
        torch.testing.assert_close(adapter.residual_norm(SEQUENCES, budget), whole, atol=1e-6, rtol=0)
    backwards = adapter.residual_norm(SEQUENCES[::-1], 25)
    torch.testing.assert_close(backwards[-5:], whole[:5], atol=1e-6, rtol=0)
    assert adapter.residual_norm([], 25).shape == (0,)


@pytest.mark.parametrize("training", [True, False])
def test_taking_the_norm_leaves_the_adapter_on_and_the_mode_as_it_was(training: bool) -> None:
    model = tiny_qwen3()
    adapter = trained(model)
    model.train(training)
    before = Scorer(model).score(SEQUENCES, 20)[0]
    norm = adapter.residual_norm(SEQUENCES, 20)
    assert not norm.requires_grad
    assert model.training == training
    assert torch.equal(Scorer(model).score(SEQUENCES, 20)[0], before)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == set(weights(model))


@pytest.mark.parametrize("failing", [1, 2])
def test_an_interrupted_norm_leaves_the_adapter_on(failing: int) -> None:
    """Whether the pass with the adapter fails or the one without."""
    model = tiny_qwen3().train()
    adapter = trained(model)
    before = Scorer(model).score(SEQUENCES, 20)[0]
    passes = itertools.count(1)

    def fail(*_: object) -> None:
        if next(passes) == failing:
            raise RuntimeError("out of memory")

    handle = model.get_decoder().register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        adapter.residual_norm(SEQUENCES, 20)
    handle.remove()
    assert torch.equal(Scorer(model).score(SEQUENCES, 20)[0], before)
    assert model.training


@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen2])
def test_a_merged_model_is_saved_and_loaded_without_peft(make, tmp_path: Path) -> None:
    model = make()
    adapter = trained(model)
    scores = Scorer(model).score(SEQUENCES, 20)
    plain = Scorer(make()).score(SEQUENCES, 20)
    assert not torch.allclose(scores[0], plain[0], atol=1e-2)
    assert adapter.merge() is model
    assert {name: parameter.shape for name, parameter in model.named_parameters()} == {
        name: parameter.shape for name, parameter in make().named_parameters()
    }
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    for one, other in zip(scores, Scorer(loaded).score(SEQUENCES, 20), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_after_merging_there_is_no_norm_to_take() -> None:
    adapter = trained(tiny_qwen3())
    adapter.merge()
    with pytest.raises(ValueError, match="merged"):
        adapter.residual_norm(SEQUENCES, 20)


@pytest.mark.slow
@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen2])
def test_a_checkpoint_of_the_model_with_its_adapter_is_restored(make, tmp_path: Path) -> None:
    def fresh(seed: int) -> tuple[Adapter, torch.optim.Optimizer]:
        adapter = add_lora(make(), rank=2, alpha=4, seed=seed)
        return adapter, torch.optim.AdamW(adapter.model.parameters(), lr=0.1)

    def update(adapter: Adapter, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        Scorer(adapter.model)(SEQUENCES)[0].sum().backward()
        optimizer.step()

    adapter, optimizer = fresh(0)
    update(adapter, optimizer)
    checkpoint.save(tmp_path, Progress(1, 4), "digest", adapter.model, optimizer)
    norm = adapter.residual_norm(SEQUENCES, 20)
    assert norm.min() > 0
    update(adapter, optimizer)
    other, other_optimizer = fresh(1)
    restored = checkpoint.restore(tmp_path, "digest", other.model, other_optimizer, torch.device("cpu"))
    assert restored == Progress(1, 4)
    assert torch.equal(other.residual_norm(SEQUENCES, 20), norm)
    head, embeddings = other.model.get_output_embeddings(), other.model.get_input_embeddings()
    assert (head.weight is embeddings.weight) == other.model.config.tie_word_embeddings
    update(other, other_optimizer)
    for one, same in zip(adapter.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, same)


def test_a_second_adapter_and_a_rank_of_nothing_are_refused() -> None:
    model = tiny_qwen3()
    with pytest.raises(UserError, match="rank is 0; it must be at least 1"):
        add_lora(model, rank=0, alpha=4, seed=0)
    add_lora(model, rank=2, alpha=4, seed=0)
    with pytest.raises(UserError, match="has an adapter already"):
        add_lora(model, rank=2, alpha=4, seed=0)


@pytest.mark.slow
def test_scoring_needs_no_peft() -> None:
    code = "import sys; import tokencredit.policy; assert 'peft' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
