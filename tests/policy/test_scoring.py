"""Entropies and log-probs belong to their own token, whatever stands beside it in the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import tiny_qwen3
from tokencredit.policy import Scorer, Sequence
from tokencredit.policy.packing import Layout, Packed, Padded
from tokencredit.policy.scoring import empty_rows, micro_batch_rows

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
@given(lengths=st.lists(st.integers(1, 9), max_size=20), budget=st.integers(1, 60))
@pytest.mark.parametrize("layout", [Padded, Packed])
def test_every_micro_batch_knows_the_rows_of_its_tokens(layout: type[Layout], lengths: list[int], budget: int) -> None:
    numbers = iter(range(sum(lengths)))
    sequences = [Sequence((0,), tuple(next(numbers) for _ in range(length))) for length in lengths]
    seen: list[int] = []
    for members, rows in micro_batch_rows(sequences, budget, layout):
        assert rows.tolist() == [token for sequence in members for token in sequence.response]
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(empty_rows(sequences))))
