"""A pool of twelve rows whose signals are written down."""

from __future__ import annotations

import pandas as pd
import pytest

from tokencredit.data_recipe.operators import Pool

ROWS = 12


def small_pool() -> Pool:
    """Rows 0 to 5 are right, 6 to 9 wrong, 10 and 11 copies of row 0; the ifd of a row is its place."""
    table = pd.DataFrame(
        {
            "source": ["right"] * 6 + ["wrong"] * 4 + ["copy"] * 2,
            "tokens": [10] * 10 + [20] * 2,
            "same": [*range(10), 0, 0],
            "ifd": [float(place) for place in range(ROWS)],
            "varentropy": [1.0] * ROWS,
            "word-entropy": [float(place % 2) for place in range(ROWS)],
            "relevance": [0.5] * 6 + [-0.5] * 4 + [0.5] * 2,
        }
    )
    pairs = pd.DataFrame({"earlier": [0, 0, 1, 10], "later": [10, 11, 2, 11], "similarity": [1.0, 0.8, 0.6, 0.8]})
    return Pool(table, pairs)


@pytest.fixture
def pool() -> Pool:
    return small_pool()
