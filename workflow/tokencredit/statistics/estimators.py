"""Avg@k and Pass@k of one question, or of arrays of questions. Maj@k: ``votes.py``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def avg_at_k(n: ArrayLike, c: ArrayLike) -> np.ndarray | float:
    """The share right, c/n, of each question: n responses, c of them right.

    Its mean over questions is Avg@k with k = n. Raises ``ValueError`` unless n >= 1 and 0 <= c <= n.
    """
    n, c = _counts(n, c)
    return (c / n)[()]


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> np.ndarray | float:
    """The unbiased estimate of the chance that at least one of k responses is right: 1 - C(n-c, k) / C(n, k).

    n, c, k are integers or arrays that broadcast. The ratio is a product of k factors 1 - c/(n-j), summed as logarithms, so that
    nothing overflows and small chances keep their digits. Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.
    Raises ``ValueError`` unless n >= 1, 0 <= c <= n and 1 <= k <= n.
    """
    n, c = _counts(n, c)
    k = _integers("k", k)
    if np.any(k < 1) or np.any(k > n):
        raise ValueError(f"k must lie between 1 and n, the number of responses; k = {k}, n = {n}.")
    n, c, k = np.broadcast_arrays(n, c, k)
    draw = np.arange(k.max(initial=1))
    c_share = c[..., None] / np.maximum(
        n[..., None] - draw, 1
    )  # of the responses left before each draw, the share right
    # Draws past the k-th count nothing; where the wrong ones run out (share 1) the question passes for certain, below.
    drawn = (draw < k[..., None]) & (c_share < 1)
    passed = -np.expm1(np.log1p(-np.where(drawn, c_share, 0.0)).sum(-1))
    return np.where(n - c < k, 1.0, passed)[()]


def _counts(n: ArrayLike, c: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    n, c = _integers("n", n), _integers("c", c)
    if np.any(n < 1):
        raise ValueError(f"n, the number of responses, must be at least 1; n = {n}.")
    if np.any(c < 0) or np.any(c > n):
        raise ValueError(f"c, the number of right responses, must lie between 0 and n; c = {c}, n = {n}.")
    return n, c


def _integers(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype == bool or not np.array_equal(array, np.floor(array)):
        raise ValueError(f"{name} must be whole numbers; {name} = {value}.")
    return array.astype(np.int64)
