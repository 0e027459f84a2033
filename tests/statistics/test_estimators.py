"""Avg@k and Pass@k."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.statistics.estimators import avg_at_k, pass_at_k


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_ratio_of_binomials(case: tuple[int, int, int]) -> None:
    n, c, k = case
    assert pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-12)


def test_pass_at_k_is_the_mean_over_all_subsets() -> None:
    right = np.array([1, 0, 0, 1, 0, 0, 0])
    subsets = [right[list(chosen)].any() for chosen in combinations(range(7), 3)]
    assert pass_at_k(7, 2, 3) == pytest.approx(np.mean(subsets), abs=1e-15)


def test_pass_at_k_takes_arrays_and_broadcasts() -> None:
    table = pass_at_k(np.array([8, 8, 8])[:, None], np.array([0, 3, 8])[:, None], np.arange(1, 9))
    assert table.shape == (3, 8)
    assert (table[0] == 0).all()
    assert (table[2] == 1).all()
    assert (np.diff(table[1]) >= 0).all()
    assert table[1, 0] == pytest.approx(3 / 8)
    assert table[1, 5] == 1
    assert pass_at_k(np.array([4, 8]), np.array([1, 1]), 4) == pytest.approx([1, 0.5])


def test_pass_at_k_is_stable_for_large_n() -> None:
    n, c, k = 20_000, 1, 2
    assert pass_at_k(n, c, k) == pytest.approx(k / n, rel=1e-12)
    assert pass_at_k(20_000, 7_000, 1_000) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("n", "c", "k"), [(8, 3, 0), (8, 3, 9), (8, 9, 1), (8, -1, 1), (0, 0, 1), (8, 2.5, 1), ([8, 4], 1, 5)]
)
def test_pass_at_k_refuses(n: object, c: object, k: object) -> None:
    with pytest.raises(ValueError, match=r"must"):
        pass_at_k(n, c, k)


def test_avg_at_k() -> None:
    assert avg_at_k(8, 2) == 0.25
    assert avg_at_k([8, 4], [2, 4]).tolist() == [0.25, 1.0]
    with pytest.raises(ValueError, match=r"0 and n"):
        avg_at_k(4, 5)
