"""Entropies and log-probs belong to their own token, whatever stands beside it in the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.models import tiny_qwen3
from tokencredit.policy import Scorer, Sequence, micro_batches

SEQUENCES = [
    Sequence((1, 2, 3), (4, 5, 6, 7, 0)),
    Sequence((9,), (8,)),
    Sequence((3, 1, 4, 1, 5), (9, 2)),
    Sequence((2, 7), (1, 8, 2, 8, 1, 8, 2, 8)),
]


def test_scores_equal_a_plain_forward_of_each_sequence_alone() -> None:
    model = tiny_qwen3().requires_grad_(False)
    logprob, entropy = Scorer(model, temperature=0.8)(SEQUENCES)
    place = 0
    for sequence in SEQUENCES:
        ids = torch.tensor([sequence.prompt + sequence.response])
        logits = model(ids).logits[0] / 0.8
        for offset, token in enumerate(sequence.response):
            p = torch.softmax(logits[len(sequence.prompt) + offset - 1], 0)
            assert float(logprob[place]) == pytest.approx(float(p[token].log()), abs=1e-9)
            assert float(entropy[place]) == pytest.approx(float(-(p * p.log()).sum()), abs=1e-9)
            place += 1
    assert place == len(logprob)


def test_a_model_whose_entropies_are_known_gives_them_at_the_right_tokens() -> None:
    """A model whose next-token distribution is uniform over (last token) choices: the entropy at t is log of the token before t."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(10, 10, bias=False)
            self.head.weight = nn.Parameter(torch.eye(10))

        def get_output_embeddings(self) -> nn.Linear:
            return self.head

        def get_decoder(self):
            def decode(input_ids: torch.Tensor, use_cache: bool) -> object:
                allowed = torch.arange(10)[None, None] < input_ids[..., None]
                return type("Output", (), {"last_hidden_state": torch.where(allowed, 0.0, -1e4)})

            return decode

    sequences = [Sequence((7, 3), (2, 1, 0)), Sequence((4,), (3, 2))]
    logprob, entropy = Scorer(Counter()).score(sequences, budget=5)
    torch.testing.assert_close(entropy, torch.tensor([3.0, 2.0, 1.0, 4.0, 3.0]).log())
    torch.testing.assert_close(logprob, -torch.tensor([3.0, 2.0, 1.0, 4.0, 3.0]).log())


def test_micro_batches_and_order_change_nothing() -> None:
    scorer = Scorer(tiny_qwen3())
    whole = scorer.score(SEQUENCES, budget=1000)
    for budget in (1, 10, 25):
        for one, other in zip(whole, scorer.score(SEQUENCES, budget), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    backwards = scorer.score(SEQUENCES[::-1], budget=1000)
    for one, other in zip(whole, backwards, strict=True):
        torch.testing.assert_close(one[:5], other[-5:], atol=1e-6, rtol=0)


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), max_size=30), budget=st.integers(1, 200))
def test_micro_batches_hold_every_sequence_once_within_the_budget(lengths: list[int], budget: int) -> None:
    sequences = [Sequence((0,), (0,) * length) for length in lengths]
    batches = list(micro_batches(sequences, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(sequences)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(len(sequences[index]) for index in batch) <= budget
