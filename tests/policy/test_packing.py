"""Sequences are shared out without loss, and evenly."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencredit.policy.packing import balanced

LENGTHS = st.lists(st.integers(1, 9000), max_size=30)


def work(lengths: list[int]) -> float:
    return sum(length + length**2 / 30_720 for length in lengths)


@settings(max_examples=100, deadline=None)
@given(lengths=LENGTHS, parts=st.integers(1, 8))
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
