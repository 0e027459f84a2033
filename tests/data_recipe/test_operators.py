"""Each operator on twelve rows, the state of a selection by hand, and what a recipe is told by."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from tokencredit.config import Step
from tokencredit.data_recipe.operators import Pool, Steps, digest, encoded, execute, slot, state


def recipe(*steps: dict) -> Steps:
    return tuple(TypeAdapter(Step).validate_python(step) for step in steps)


def top(signal: str, keep: str, fraction: float) -> dict:
    return {"operator": signal, "keep": keep, "fraction": fraction}


DROP_WRONG = {"operator": "drop-source", "source": "wrong"}


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        ([], range(12)),
        ([top("ifd", "high", 0.25)], [9, 10, 11]),
        ([top("ifd", "low", 0.25)], [0, 1, 2]),
        ([top("ifd", "low", 0.01)], [0]),
        ([top("varentropy", "high", 0.5)], range(6)),  # of equal ones the first
        ([top("word-entropy", "high", 0.5)], [1, 3, 5, 7, 9, 11]),
        ([top("relevance", "low", 0.25)], [6, 7, 8]),
        ([{"operator": "exact-duplicates"}], range(10)),
        ([{"operator": "near-duplicates", "similarity": 0.9}], [*range(10), 11]),
        ([{"operator": "near-duplicates", "similarity": 0.7}], range(10)),
        ([{"operator": "near-duplicates", "similarity": 0.5}], [0, 1, *range(3, 10)]),
        # The row that the two others are like is not among them.
        ([top("ifd", "high", 0.9), {"operator": "near-duplicates", "similarity": 0.7}], range(1, 11)),
        ([DROP_WRONG], [*range(6), 10, 11]),
        ([DROP_WRONG, top("ifd", "high", 0.5)], [4, 5, 10, 11]),
        ([top("ifd", "high", 0.5), DROP_WRONG], [10, 11]),  # the order of operators matters
    ],
)
def test_an_operator_keeps_its_rows(steps: list[dict], rows: list[int], pool: Pool) -> None:
    assert execute(recipe(*steps), pool, seed=0).tolist() == list(rows)


def test_random_rows_are_as_many_and_those_of_the_seed(pool: Pool) -> None:
    drawn = recipe({"operator": "random", "fraction": 0.5})
    one, again, other = (execute(drawn, pool, seed).tolist() for seed in (0, 0, 1))
    assert one == again == sorted(set(one))
    assert len(one) == 6
    assert one != other
    fewer = execute(recipe({"operator": "random", "fraction": 0.25}), pool, 0)
    assert set(fewer.tolist()) < set(one)


def test_the_state_by_hand(pool: Pool) -> None:
    found = state(np.array([0, 1, 6, 10]), pool)
    assert found == pytest.approx(
        {
            "retained": 4 / 12,
            "tokens": 50 / 140,
            "ifd": (17 / 4) / 5.5 / 2,
            "varentropy": 0.5,
            "word-entropy": 0.25 / 0.5 / 2,
            "relevance": (1 + 0.25) / 2,
            "spread": 0.75**0.5 / 2,
            "drift": (abs(0.25 - 2 / 12) + abs(0.5 - 0.5) + abs(0.25 - 4 / 12)) / 2,
            "source:copy": 0.5,
            "source:right": 2 / 6,
            "source:wrong": 0.25,
        },
        rel=1e-9,
    )
    assert state(np.arange(0), pool)["retained"] == 0


def test_no_two_selections_have_one_digest_by_their_order_or_length(pool: Pool) -> None:
    rows = [np.arange(3), np.arange(4), np.array([0, 1, 3]), np.arange(0)]
    assert len({digest(each) for each in rows}) == 4
    assert digest(rows[0]) == digest(rows[0].astype(np.int32))


def test_two_recipes_are_encoded_alike_only_if_they_differ_in_their_order(pool: Pool) -> None:
    steps = [
        top("ifd", "high", 0.5),
        top("ifd", "low", 0.5),
        top("ifd", "low", 0.9),
        {"operator": "random", "fraction": 0.5},
        {"operator": "exact-duplicates"},
        {"operator": "near-duplicates", "similarity": 0.5},
        DROP_WRONG,
        {"operator": "drop-source", "source": "copy"},
    ]
    codes = {tuple(encoded(recipe(step), pool.sources)) for step in steps}
    assert len(codes) == len(steps)
    assert not encoded((), pool.sources).any()
    both = (encoded(recipe(*order), pool.sources).tolist() for order in (steps[::7], steps[::-7]))
    assert len({tuple(code) for code in both}) == 1
    assert [slot(step) for step in recipe(*steps[5:])] == ["near-duplicates", "drop-source:wrong", "drop-source:copy"]
