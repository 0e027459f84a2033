"""Sequences are cut and laid out without loss, and in every layout a token sees its own sequence and nothing else."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM, modeling_flash_attention_utils
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from tests.architectures import VERIFIED, tiny
from tokencredit.policy import Scorer, Sequence, balanced, micro_batches
from tokencredit.policy.packing import Layout, Packed, Padded, SharedPrompts, layout_of

LAYOUTS = pytest.mark.parametrize("layout", [Padded, SharedPrompts, Packed])
# Packed rows go through each implementation; padded ones are the rows of the first two, and shared prompts are for the first.
ATTENTION = pytest.mark.parametrize(
    ("layout", "attention"),
    [
        (Padded, "sdpa"),
        (Padded, "eager"),
        (SharedPrompts, "sdpa"),
        (Packed, "sdpa"),
        (Packed, "eager"),
        (Packed, "flash_attention_2"),
    ],
)
SEQUENCES = [
    Sequence((1, 2, 3), (4, 5, 6, 7, 0)),
    Sequence((9,), (8,)),
    Sequence((3, 1, 4, 1, 5), (9, 2)),
    Sequence((2, 7), (1, 8, 2, 8, 1, 8, 2, 8, 4, 5)),
    Sequence((6, 6), ()),
    Sequence((2, 7), (1, 8, 2, 8, 1, 8, 2, 8, 4, 6)),
]


# --- which sequences share a pass


@settings(max_examples=50, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=30),
    budget=st.integers(1, 400),
)
@LAYOUTS
def test_micro_batches_hold_every_sequence_once_within_the_budget(
    layout: type[Layout], shapes: list[tuple[int, int]], budget: int
) -> None:
    """Of one prompt or of several."""
    sequences = [Sequence((prompt,) * (1 + 7 * prompt), (0,) * length) for prompt, length in shapes]
    batches = list(micro_batches(sequences, budget, layout))
    assert sorted(index for batch in batches for index in batch) == list(range(len(sequences)))
    for batch in batches:
        assert len(batch) == 1 or layout([sequences[index] for index in batch], "cpu").ids.numel() <= budget


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=8), budget=st.integers(300, 1500))
def test_rectangles_cost_the_least_that_sorted_sequences_can(lengths: list[int], budget: int) -> None:
    def cost(batches: list[list[int]]) -> float:
        places = [len(batch) * max(batch) for batch in batches]
        return sum(places) + budget / 20 * len(batches) if max(places) <= budget else float("inf")

    ordered = sorted(lengths)
    borders = itertools.chain.from_iterable(
        itertools.combinations(range(1, len(ordered)), count) for count in range(len(ordered))
    )
    least = min(
        cost([ordered[start:stop] for start, stop in itertools.pairwise([0, *inner, len(ordered)])])
        for inner in borders
    )
    assert cost([[lengths[index] for index in batch] for batch in Padded.cut(lengths, budget)]) == pytest.approx(least)


@pytest.mark.parametrize("budget", [1024, 2048, 8192])
def test_packed_rows_are_few_and_even(budget: int) -> None:
    rng = random.Random(0)
    lengths = [min(160, 20 + int(rng.lognormvariate(3.2, 0.6))) for _ in range(500)]
    rows = [sum(lengths[index] for index in batch) for batch in Packed.cut(lengths, budget)]
    assert len(rows) <= -(-sum(lengths) // budget) + 1
    assert max(rows) - min(rows) <= 0.02 * budget


def test_a_prompt_is_computed_once_for_all_its_responses_and_nothing_is_padding() -> None:
    first, second = (1,) * 10, (2,) * 4
    sequences = [Sequence(prompt, (3,) * length) for length in (5, 6) for prompt in (first, second)]
    batch = SharedPrompts(sequences, "cpu")
    assert batch.ids.tolist() == [[*first, *second, *(3,) * 22]]
    assert batch.inputs["position_ids"].tolist() == [
        [*range(10), *range(4), *range(10, 15), *range(4, 9), *range(10, 16), *range(4, 10)]
    ]


def test_sequences_of_like_length_are_one_call_of_attention() -> None:
    lengths = [30, 31, 200, 32, 210]
    shared = SharedPrompts([Sequence((1,) * 9, (2,) * length) for length in lengths], "cpu").inputs["shared"]
    assert [rows.shape for rows in shared.rows] == [(2, 219), (3, 41)]


def test_a_prompt_whose_responses_are_above_the_budget_is_computed_again() -> None:
    sequences = [Sequence((1,) * 10, (2,) * 20)] * 4
    assert list(map(len, micro_batches(sequences, 90, SharedPrompts))) == [4]
    assert list(map(len, micro_batches(sequences, 89, SharedPrompts))) == [2, 2]


def test_a_sequence_beyond_the_budget_stands_alone() -> None:
    assert Packed.cut([3, 9, 4, 12, 3], 8) == [[1], [3], [2], [0, 4]]
    assert Packed.cut([3, 9, 4, 12, 3], 11) == [[3], [1], [0, 2, 4]]
    assert Padded.cut([3, 9, 12], 8) == [[2], [1], [0]]


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 9000), max_size=30), parts=st.integers(1, 8))
def test_parts_hold_every_sequence_once_and_differ_by_one_sequence_at_most(lengths: list[int], parts: int) -> None:
    shares = balanced(lengths, parts)
    assert len(shares) == parts
    assert sorted(index for share in shares for index in share) == list(range(len(lengths)))
    assert all(share == sorted(share) for share in shares)
    least = min(work([lengths[index] for index in share]) for share in shares)
    for share in filter(None, shares):
        most = [lengths[index] for index in share]
        assert work(most) - work([min(most)]) <= least + 1e-6


@pytest.mark.parametrize("lengths", [[9, 7, 6, 5, 4, 4], [5, 5, 4, 4, 3, 3, 3], [8000, 4000, 3000, 2000, 1000, 1]])
@pytest.mark.parametrize("parts", [2, 3])
def test_the_fullest_part_is_within_a_third_of_the_best_there_is(lengths: list[int], parts: int) -> None:
    def fullest(owners: tuple[int, ...]) -> float:
        return max(
            work([length for length, owner in zip(lengths, owners, strict=True) if owner == part])
            for part in range(parts)
        )

    best = min(fullest(owners) for owners in itertools.product(range(parts), repeat=len(lengths)))
    assert max(work([lengths[index] for index in share]) for share in balanced(lengths, parts)) <= 4 / 3 * best


def test_attention_counts_where_sequences_are_long() -> None:
    """By tokens, one of 30,720 and two of its halves are even, and a third half goes to either; with attention the one is more work."""
    assert balanced([30_720, 15_360, 15_360, 15_360], 2) == [[0], [1, 2, 3]]


def test_no_part_is_refused() -> None:
    with pytest.raises(ValueError, match="0 parts"):
        balanced([1], 0)


# --- how they lie in it


@LAYOUTS
def test_a_state_predicts_the_token_after_it(layout: type[Layout]) -> None:
    batch = layout(SEQUENCES, "cpu")
    assert batch.tokens.tolist() == [token for sequence in SEQUENCES for token in sequence.response]
    before = [
        token for s in SEQUENCES if s.response for token in (s.prompt + s.response)[len(s.prompt) - 1 : -1]
    ]  # fmt: skip
    assert batch.predicting(batch.ids).tolist() == before
    assert batch.predicting(torch.stack([batch.ids, -batch.ids], -1)).tolist() == [[token, -token] for token in before]


def test_a_packed_row_has_no_padding_and_its_positions_start_again() -> None:
    batch = Packed(SEQUENCES[:3], "cpu")
    assert batch.ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 0, 9, 8, 3, 1, 4, 1, 5, 9, 2]]
    assert batch.inputs["position_ids"].tolist() == [[*range(8), *range(2), *range(7)]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 8, 10, 17]
    assert batch.inputs["max_length_q"] == 8


def test_a_sequence_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="a prompt of at least one token"):
        Sequence((), (1, 2))


@pytest.mark.parametrize(
    ("attention", "windows", "layout"),
    [
        ("sdpa", True, Padded),
        ("sdpa", False, SharedPrompts),
        ("eager", False, Padded),
        ("flash_attention_2", True, Packed),
        ("flash_attention_3", False, Packed),
        ("kernels-community/flash-attn2", False, Packed),
    ],
)
def test_the_layout_is_that_of_the_models_attention(attention: str, windows: bool, layout: type[Layout]) -> None:
    assert layout_of(policy(attention, windows)) is layout


# --- what a model makes of it


@ATTENTION
@pytest.mark.usefixtures("reference_kernel")
def test_statistics_and_gradients_are_those_of_each_sequence_alone(layout: type[Layout], attention: str) -> None:
    # Eager attention takes its softmax in float32.
    tolerance = 1e-6 if attention == "eager" else 1e-12
    windows = layout is not SharedPrompts
    *expected, expected_gradient = statistics(policy("sdpa", windows), Padded, SEQUENCES, together=False)
    *obtained, gradient = statistics(policy(attention, windows), layout, SEQUENCES)
    for one, other in zip(obtained, expected, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=0)
    assert gradient.keys() == expected_gradient.keys()
    for name, value in gradient.items():
        assert value.abs().max() > 1e-6
        torch.testing.assert_close(value, expected_gradient[name], atol=10 * tolerance, rtol=0)


@ATTENTION
@pytest.mark.usefixtures("reference_kernel")
def test_no_token_sees_another_sequence(layout: type[Layout], attention: str) -> None:
    """A sequence with another prompt no longer shares one: the rest is the same up to rounding."""
    model = policy(attention, windows=layout is not SharedPrompts)
    rounding = 1e-12 if layout is SharedPrompts else 0
    logprob, entropy, _ = statistics(model, layout, SEQUENCES)
    for index, sequence in enumerate(SEQUENCES):
        other = Sequence(
            tuple(token + 10 for token in sequence.prompt), tuple(token + 10 for token in sequence.response)
        )
        changed = [*SEQUENCES[:index], other, *SEQUENCES[index + 1 :]]
        owner = torch.arange(len(SEQUENCES)).repeat_interleave(torch.tensor([len(s.response) for s in SEQUENCES]))
        for before, after in zip((logprob, entropy), statistics(model, layout, changed)[:2], strict=True):
            torch.testing.assert_close(after[owner != index], before[owner != index], atol=rounding, rtol=0)
            assert bool(((before - after)[owner == index].abs() > rounding).all())


# What of these shares no prompts: a window, or a rotation that depends on the pass.
OF_FAMILIES = {
    name: "windows" not in name and "dynamic" not in name
    for name, (family, _) in VERIFIED.items()
    if family in {"granite", "llama", "olmo2", "qwen2", "qwen3", "smollm3"}
}


def test_prompts_are_shared_by_models_whose_layers_all_see_everything() -> None:
    layouts = {name: layout_of(tiny(*VERIFIED[name])) for name in VERIFIED}
    assert layouts == {name: SharedPrompts if OF_FAMILIES.get(name) else Padded for name in VERIFIED}


@pytest.mark.parametrize("name", [name for name, sharing in OF_FAMILIES.items() if sharing])
def test_responses_that_share_a_prompt_are_scored_as_if_each_had_its_own(name: str) -> None:
    model = tiny(*VERIFIED[name])
    sequences = [Sequence(tuple(range(1, 12)), tuple(range(5, 5 + length))) for length in (3, 1, 14)]
    scorer = Scorer(model)
    alone = [torch.cat(parts) for parts in zip(*(scorer([sequence]) for sequence in sequences), strict=True)]
    for one, other in zip(scorer(sequences), alone, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_flash_attention_is_given_the_borders_and_no_padding(reference_kernel: list[dict[str, Any]]) -> None:
    Scorer(policy("flash_attention_2")).score(SEQUENCES, budget=20)
    layers, total = 2, sum(map(len, SEQUENCES))
    assert sum(call["tokens"] for call in reference_kernel) == layers * total
    assert sum(call["sequences"] for call in reference_kernel) == layers * len(SEQUENCES)
    assert all(call["tokens"] <= 20 for call in reference_kernel)
    assert {call["window"] for call in reference_kernel if call["tokens"] > 4} == {(-1, -1), (3, 3)}


def work(lengths: list[int]) -> float:
    return sum(length + length**2 / 30_720 for length in lengths)


def policy(attention: str, windows: bool = True) -> Qwen3ForCausalLM:
    """A float64 model with two query heads for each key, and in one of its two layers, with ``windows``, a window of four tokens."""
    config = Qwen3Config(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=True,
        max_position_embeddings=64,
        use_sliding_window=windows,
        sliding_window=4,
        max_window_layers=1,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    # Those of transformers compute in float32 whatever the model's dtype, and would round what is compared here.
    for name, module in list(model.named_modules()):
        if isinstance(module, Qwen3RMSNorm):
            model.set_submodule(name, nn.RMSNorm(len(module.weight), module.variance_epsilon))
    model = model.double().eval()
    # Set past the check that a kernel is installed: the tests bring their own.
    model.config._attn_implementation = attention
    return model


def statistics(
    model: Qwen3ForCausalLM, layout: type[Layout], sequences: list[Sequence], together: bool = True
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Log-probs and entropies in one pass of ``layout``, or in one for each sequence; and the gradient of a sum with uneven weights."""
    scorer = Scorer(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokencredit.policy.scoring.layout_of", lambda _: layout)
        passes = [sequences] if together else [[sequence] for sequence in sequences]
        parts = [scorer(members) for members in passes]
    logprob, entropy = (torch.cat(values) for values in zip(*parts, strict=True))
    weight = torch.arange(len(logprob), dtype=logprob.dtype).sin()
    model.zero_grad()
    (weight * logprob + weight.flip(0) * entropy).sum().backward()
    return logprob.detach(), entropy.detach(), {name: value.grad.clone() for name, value in model.named_parameters()}


@pytest.fixture
def reference_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Flash attention's variable-length kernel as a loop over sequences, in its place; yields the calls made of it.

    Everything above the kernel is what transformers runs on a GPU.
    """
    calls: list[dict[str, Any]] = []

    def varlen(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        cu_seqlens_q: Tensor,
        cu_seqlens_k: Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        softmax_scale: float,
        causal: bool,
        window_size: tuple[int, int] = (-1, -1),
    ) -> Tensor:
        borders = cu_seqlens_q.tolist()
        assert causal
        assert borders == cu_seqlens_k.tolist()
        assert max_seqlen_q == max_seqlen_k == max(stop - start for start, stop in itertools.pairwise(borders))
        calls.append({"tokens": len(q), "sequences": len(borders) - 1, "window": tuple(window_size)})
        outputs = []
        for start, stop in itertools.pairwise(borders):
            queries, keys, values = (part[start:stop].transpose(0, 1) for part in (q, k, v))
            back = torch.arange(stop - start)[:, None] - torch.arange(stop - start)
            seen = (back >= 0) & ((back <= window_size[0]) | (window_size[0] < 0))
            outputs.append(
                functional.scaled_dot_product_attention(
                    queries, keys, values, attn_mask=seen, scale=softmax_scale, enable_gqa=True
                ).transpose(0, 1)
            )
        return torch.cat(outputs)

    def fixed_length(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("the kernel for rows of one length was called: it lets sequences see each other")

    kernels = (fixed_length, varlen, None, None, None)
    monkeypatch.setattr(modeling_flash_attention_utils, "_loaded_implementation", None)
    monkeypatch.setattr(modeling_flash_attention_utils, "_lazy_imports", lambda *_, **__: kernels)
    yield calls
    # Whoever asks for flash attention next loads the installed one.
    monkeypatch.setattr(modeling_flash_attention_utils, "_loaded_implementation", None)
