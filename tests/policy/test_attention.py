"""The entropy of attention belongs to the position that predicts the token, and taking it leaves the model as it was."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.models import tiny_qwen3
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, add_lora, attention_entropy

SEQUENCES = [
    Sequence((1, 2, 3), (4, 5, 6, 7, 0)),
    Sequence((9,), (8, 3)),
    Sequence((3, 1, 4, 1, 5), (9, 2)),
    Sequence((2, 7), (1, 8, 2, 8, 1, 8, 2, 8)),
]
SIZES = {
    "vocab_size": 23,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def tiny_qwen2(**changes: object) -> Qwen2ForCausalLM:
    torch.manual_seed(1)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES | changes)).double().eval()


def tiny_llama() -> LlamaForCausalLM:
    torch.manual_seed(2)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).double().eval()


def written_out(model: PreTrainedModel, layer: int, window: int = 64) -> list[float]:
    """One sequence at a time, from the weights that the model itself gives out."""
    model.set_attn_implementation("eager")
    values = []
    for sequence in SEQUENCES:
        ids = torch.tensor([sequence.prompt + sequence.response])
        with torch.no_grad():
            weights = model(ids, output_attentions=True).attentions[layer][0]
        for column in range(len(sequence.prompt) - 1, len(sequence) - 1):
            seen = min(column + 1, window)
            mean = [sum(float(head[column][place]) for head in weights) / len(weights) for place in range(column + 1)]
            entropy = -sum(a * math.log(a) for a in mean if a > 0)
            values.append(entropy / math.log(seen) if seen > 1 else 0.0)
    model.set_attn_implementation("sdpa")
    return values


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("make", [tiny_qwen3, tiny_qwen2, tiny_llama])
def test_it_equals_its_definition_at_the_place_before_the_token(make, layer: int) -> None:
    model = sharpened(make())
    expected = written_out(model, layer)
    obtained = attention_entropy(model, SEQUENCES, layer, 1000)
    assert (obtained.dtype, obtained.requires_grad) == (torch.float32, False)
    assert obtained.tolist() == pytest.approx(expected, abs=1e-5)
    ahead = torch.tensor(expected)
    assert (ahead[1:] - ahead[:-1]).abs().min() > 1e-4
    assert obtained[5] == 0.0
    assert obtained.max() <= 1.0


def sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """Queries large enough for the attention to be far from uniform."""
    with torch.no_grad():
        for layer in model.get_decoder().layers:
            layer.self_attn.q_proj.weight.mul_(200.0)
            layer.self_attn.o_proj.weight.mul_(20.0)
    return model


def test_queries_of_zero_give_uniform_attention() -> None:
    model = tiny_qwen2()
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight.zero_()
        model.model.layers[1].self_attn.q_proj.bias.zero_()
    expected = torch.ones(17)
    expected[5] = 0.0  # the only one with a context of one
    torch.testing.assert_close(attention_entropy(model, SEQUENCES, 1, 20), expected, atol=1e-6, rtol=0)


def test_one_position_that_draws_all_attention_gives_none() -> None:
    """Only token 1 has a key, which every query meets head on; where it has been read, all heads look at it and nowhere else."""
    model = tiny_qwen2(hidden_size=23, num_attention_heads=1, num_key_value_heads=1, head_dim=24)
    attention = model.model.layers[0].self_attn
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(23))
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight.zero_()
            projection.bias.zero_()
        # The pair of the slowest rotation, which hardly turns over a few places.
        attention.q_proj.bias[11] = 100.0
        attention.k_proj.weight[11, 1] = 100.0
    sequences = [Sequence((3, 4), (5, 6, 1, 7, 8)), Sequence((1, 2), (3, 4))]
    obtained = attention_entropy(model, sequences, 0, 100)
    torch.testing.assert_close(obtained, torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), atol=1e-6, rtol=0)


def test_a_sliding_window_is_the_context() -> None:
    model = sharpened(
        tiny_qwen2(use_sliding_window=True, sliding_window=3, layer_types=["full_attention", "sliding_attention"])
    )
    expected = written_out(model, 1, window=3)
    assert attention_entropy(model, SEQUENCES, 1, 20).tolist() == pytest.approx(expected, abs=1e-5)
    assert expected != pytest.approx(written_out(model, 1), abs=0.05)
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight.zero_()
        model.model.layers[1].self_attn.q_proj.bias.zero_()
    uniform = attention_entropy(model, SEQUENCES, 1, 20)
    assert uniform[[0, 4, -1]].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_micro_batches_and_order_change_nothing() -> None:
    model = sharpened(tiny_qwen3())
    whole = attention_entropy(model, SEQUENCES, 1, 1000)
    for budget in (1, 10, 25):
        torch.testing.assert_close(attention_entropy(model, SEQUENCES, 1, budget), whole, atol=1e-5, rtol=0)
    backwards = attention_entropy(model, SEQUENCES[::-1], 1, 25)
    torch.testing.assert_close(backwards[-5:], whole[:5], atol=1e-5, rtol=0)
    assert attention_entropy(model, [], 1, 25).shape == (0,)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(implementation: str, training: bool) -> None:
    model = tiny_qwen2(attention_dropout=0.5)
    model.set_attn_implementation(implementation)
    model.train(training)

    def scores() -> torch.Tensor:
        torch.manual_seed(0)
        return Scorer(model).score(SEQUENCES, 20)[0]

    before = scores()
    obtained = attention_entropy(model, SEQUENCES, 1, 20)
    assert model.config._attn_implementation == implementation
    assert model.training == training
    assert torch.equal(scores(), before)
    assert torch.equal(obtained, attention_entropy(model.eval(), SEQUENCES, 1, 20))
    assert not model.model.layers[1].self_attn._forward_hooks


def test_a_failed_pass_leaves_the_model_as_it_was() -> None:
    model = tiny_qwen2().train()
    with pytest.raises(IndexError):
        attention_entropy(model, [Sequence((1, 99), (2,))], 1, 20)
    assert model.config._attn_implementation == "sdpa"
    assert model.training
    assert not model.model.layers[1].self_attn._forward_hooks


def test_layers_count_from_either_end() -> None:
    model = sharpened(tiny_qwen3())
    first, last = (attention_entropy(model, SEQUENCES, layer, 20) for layer in (0, 1))
    assert torch.equal(attention_entropy(model, SEQUENCES, -1, 20), last)
    assert not torch.allclose(first, last, atol=1e-3)
    for layer in (2, -3):
        with pytest.raises(
            UserError, match=rf"attention layer {layer}: Qwen3ForCausalLM has 2 layers; allowed: -2 to 1"
        ):
            attention_entropy(model, SEQUENCES, layer, 20)


def test_it_works_with_an_adapter_inside() -> None:
    model = sharpened(tiny_qwen3())
    before = attention_entropy(model, SEQUENCES, 1, 20)
    add_lora(model, rank=2, alpha=4, seed=0)
    torch.testing.assert_close(attention_entropy(model, SEQUENCES, 1, 20), before)


def test_a_model_without_such_layers_is_refused() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=23, n_positions=16, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(
        UserError, match="cannot be read from GPT2LMHeadModel: they need decoder layers with `self_attn`"
    ):
        attention_entropy(model, SEQUENCES, 0, 20)


def test_attention_that_gives_no_weights_is_refused() -> None:
    model = tiny_qwen2()
    attention = model.model.layers[0].self_attn
    plain = attention.forward
    attention.forward = lambda *arguments, **named: (plain(*arguments, **named)[0], None)
    with pytest.raises(UserError, match="Qwen2ForCausalLM: its Qwen2Attention gives no weights"):
        attention_entropy(model, SEQUENCES, 0, 20)
