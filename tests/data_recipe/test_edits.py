"""Probes, local edits, proposals, and the credit of operators."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data_recipe.test_operators import recipe, top
from tokencredit.data_recipe import edits
from tokencredit.data_recipe.edits import Space
from tokencredit.data_recipe.operators import Pool, execute, slot

SPACE = Space(("copy", "right", "wrong"), longest=4)
LOW, HIGH = (recipe(top("ifd", keep, 0.5)) for keep in ("low", "high"))
EXACT = recipe({"operator": "exact-duplicates"})
RANDOM = recipe({"operator": "random", "fraction": 0.5})


def test_a_pool_of_one_source_keeps_it() -> None:
    assert not [step for step in Space(("only",), 3).steps if step.operator == "drop-source"]
    assert len([step for step in SPACE.steps if step.operator == "drop-source"]) == 3


@pytest.mark.parametrize("number", range(6))
def test_a_probe_keeps_the_share_of_its_zone(number: int) -> None:
    """Steps multiply up to the target, each off by a twelfth at most."""
    low, high = edits.ZONES[number % 3]
    for draw in range(50):
        found = edits.probe(number, SPACE, np.random.default_rng(draw))
        assert found[0].operator == "random"
        assert 2 <= len(found) <= 4
        assert len({slot(step) for step in found}) == len(found)
        off = [bound ** len(found) for bound in (0.92, 1.08)]
        assert low * off[0] - 0.01 < np.prod([step.fraction for step in found]) < high * off[1] + 0.01
    assert len(edits.probe(0, Space(("a",), 1), np.random.default_rng(0))) == 1


def test_any_recipe_is_short_enough_and_has_no_slot_twice() -> None:
    found = [edits.any_recipe(SPACE, np.random.default_rng(draw)) for draw in range(200)]
    assert {len(steps) for steps in found} == {1, 2, 3, 4}
    assert all(len({slot(step) for step in steps}) == len(steps) for steps in found)
    assert {slot(step) for steps in found for step in steps} == {slot(step) for step in SPACE.steps}


def test_local_edits_are_all_recipes_one_edit_away() -> None:
    found = edits.local_edits(LOW + EXACT, SPACE)
    slots = {slot(step) for step in SPACE.steps}
    assert {slot(steps[-1]) for steps in found["insert"]} == slots - {"ifd", "exact-duplicates"}
    assert all(steps[:2] == LOW + EXACT for steps in found["insert"])
    assert found["delete"] == [EXACT, LOW]
    assert len(found["retune"]) == 2 * len(edits.FRACTIONS) - 1
    assert found["swap"] == [EXACT + LOW]
    full = edits.local_edits(LOW + EXACT + RANDOM + recipe(top("relevance", "high", 0.9)), SPACE)
    assert full["insert"] == []
    assert {kind: len(of_kind) for kind, of_kind in edits.local_edits((), SPACE).items()} == {
        "insert": len(SPACE.steps),
        "delete": 0,
        "retune": 0,
        "swap": 0,
    }


@pytest.mark.parametrize("draw", range(20))
def test_proposals_are_new_and_one_keeps_more(draw: int, pool: Pool) -> None:
    taken = [execute(of, pool, 0) for of in (LOW, HIGH)]
    found = edits.proposals(
        edits.local_edits(LOW, SPACE), 5, lambda of: execute(of, pool, 0), 6, taken, np.random.default_rng(draw)
    )
    rows = [execute(of, pool, 0) for of in found]
    assert len(found) == 5
    assert any(len(own) > 6 for own in rows)
    for place, own in enumerate(rows):
        assert len(own)
        for other in [*taken, *rows[:place]]:
            assert len(set(own) ^ set(other)) >= 0.1 * len(set(own) | set(other))


def test_there_are_as_many_proposals_as_there_are_other_rows(pool: Pool) -> None:
    gone = recipe(*({"operator": "drop-source", "source": name} for name in SPACE.sources))
    only = {"insert": [LOW, HIGH], "delete": [LOW], "retune": [], "swap": [gone]}
    found = edits.proposals(only, 5, lambda of: execute(of, pool, 0), 12, [], np.random.default_rng(0))
    assert sorted(found, key=str) == sorted([LOW, HIGH], key=str)


def test_rows_are_unlike_from_a_tenth_on() -> None:
    twenty = np.arange(20)
    assert not edits.unlike(twenty[1:], [twenty])
    assert edits.unlike(twenty[2:], [twenty])
    assert not edits.unlike(twenty[2:], [twenty, twenty[1:]])
    assert not edits.unlike(twenty[:0], [])
    assert edits.unlike(twenty, [])


def test_the_credit_of_operators_by_hand() -> None:
    changes = [
        (LOW, LOW + EXACT, 0.2),  # the duplicates came
        (LOW + EXACT, LOW, -0.1),  # and went
        (LOW, HIGH + RANDOM, 0.3),  # two came and one went
    ]
    found = edits.operator_credit(changes)
    assert found == pytest.approx({"exact-duplicates": (0.2 + 0.1) / 2, "ifd": (0.1 - 0.1) / 2, "random": 0.1})
    assert edits.operator_credit([]) == {}


def test_a_search_begins_anew_with_the_operators_that_were_worth_most() -> None:
    scored = [(LOW + EXACT, 0.4), (HIGH, 0.6), (RANDOM, 0.9)]
    assert edits.reseeded({"ifd": 0.1, "exact-duplicates": 0.2, "random": 9.0}, scored, 3) == EXACT + HIGH
    assert edits.reseeded({"ifd": -0.1, "exact-duplicates": -0.2}, scored, 3) == HIGH
    assert edits.reseeded({"ifd": 0.1, "exact-duplicates": 0.2}, scored, 1) == EXACT
    assert edits.reseeded({}, scored, 3) == ()
