"""Maj@k: which answers vote together, and what the grader is asked for that."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from tokencredit.evaluate.votes import maj_at_k, undecided_pairs


@pytest.mark.parametrize(
    ("answers", "outcomes", "score"),
    [
        (["1", "1", "2"], ["right", "right", "wrong"], 1),
        (["1", "2", "2"], ["right", "wrong", "wrong"], 0),
        (["1", "2"], ["right", "wrong"], 1 / 2),
        (["1", "2", "3"], ["right", "wrong", "wrong"], 1 / 3),
        (["1/2", "0.5", "3", "3 ", "$3$"], ["right", "right", "wrong", "wrong", "wrong"], 0),
        (["1/2", "0.5", "3", "4"], ["right", "right", "wrong", "wrong"], 1),
        ([None, None, "1"], ["ungraded", "wrong", "right"], 1),
        ([None, None], ["wrong", "ungraded"], 0),
        (["7", "7", "2"], ["right", "ungraded", "wrong"], 1),
    ],
)
def test_maj_at_k(answers: list[str | None], outcomes: list[str], score: float) -> None:
    assert maj_at_k(answers, outcomes) == pytest.approx(score)


def test_maj_at_k_does_not_depend_on_the_order() -> None:
    pairs = [("1", "right"), ("2", "wrong"), ("2", "wrong"), ("1.0", "right"), (None, "wrong")]
    scores = {
        maj_at_k(*zip(*[pairs[i] for i in order], strict=True))
        for order in product(range(5), repeat=5)
        if len(set(order)) == 5
    }
    assert scores == {0.5}


def test_maj_at_k_needs_pairs() -> None:
    with pytest.raises(ValueError, match="one answer"):
        maj_at_k(["1"], [])


HALVES = (["1/2", "0.5", r"\frac12", "7", "7"], ["wrong"] * 3 + ["right"] * 2)


def test_equal_wrong_answers_in_different_spellings_are_one_class() -> None:
    pairs = undecided_pairs(*HALVES)
    assert pairs == [("0.5", "1/2"), ("0.5", r"\frac12"), ("1/2", r"\frac12")]
    assert maj_at_k(*HALVES) == 1
    assert maj_at_k(*HALVES, pairs) == maj_at_k(*HALVES, pairs[:2]) == 0
    assert maj_at_k(*HALVES, pairs[:1]) == 0.5


def test_the_order_of_equal_answers_does_not_matter() -> None:
    equal = [("a", "b"), ("c", "d"), ("b", "c")]
    votes = (["a", "b", "c", "d", "e", "e", "e"], ["wrong"] * 4 + ["right"] * 3)
    assert {maj_at_k(*votes, order) for order in permutations(equal)} == {0.0}


@pytest.mark.parametrize(
    ("answers", "outcomes"),
    [
        (["1", "2", "7", "7", "7"], ["wrong"] * 2 + ["right"] * 3),  # won, whatever equals what
        (["1", "1", "2", "7"], ["wrong"] * 3 + ["right"]),  # lost
        (["7", "7"], ["right"] * 2),
        (["1", "2"], ["ungraded"] * 2),
        ([None, None], ["wrong"] * 2),
    ],
)
def test_decided_questions_ask_nothing(answers: list[str | None], outcomes: list[str]) -> None:
    assert undecided_pairs(answers, outcomes) == []


def test_no_equality_among_other_questions_changes_a_vote() -> None:
    """Whatever the answers and outcomes, where no pair is asked for, no pair would change the score."""
    for outcomes in product(["right", "wrong", "ungraded"], repeat=4):
        for answers in product("abc", repeat=4):
            if any(
                a == b and o != p
                for a, o in zip(answers, outcomes, strict=True)
                for b, p in zip(answers, outcomes, strict=True)
            ):
                continue
            if not undecided_pairs(answers, outcomes):
                wrong = sorted({a for a, o in zip(answers, outcomes, strict=True) if o == "wrong"})
                everything = [(wrong[0], other) for other in wrong[1:]]
                assert maj_at_k(answers, outcomes) == maj_at_k(answers, outcomes, everything)


@pytest.mark.parametrize(("one", "other"), [(r"\Gamma", r"\gamma"), ("1 1", "11"), ("A", "a")])
def test_texts_that_differ_in_case_or_in_a_space_are_two_votes(one: str, other: str) -> None:
    assert maj_at_k([one, other, "7"], ["wrong", "wrong", "right"]) == pytest.approx(1 / 3)
