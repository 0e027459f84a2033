"""Integers are compared without algebra, and as algebra would."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.grading import GradingPool
from tokencredit.grading import pool as pool_module
from tokencredit.grading.integers import compare_integers
from tokencredit.grading.judge import judge

SPELT = ["0", "-0", "7", "007", "-7", "70", "700", "12", "999999999999999", "-999999999999998", "100000000000000"]


@pytest.mark.parametrize(("gold", "answer"), list(itertools.product(SPELT, SPELT)))
def test_as_the_judge_does(gold: str, answer: str) -> None:
    assert judge(gold, answer) == (compare_integers(gold, answer), None)


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-200, 200))
def test_the_values_decide(gold: int, more: int) -> None:
    assert compare_integers(str(gold), str(gold)) == "right"
    if abs(gold + more) < 10**15:
        assert compare_integers(str(gold), str(gold + more)) == ("wrong" if more else "right")


@pytest.mark.parametrize(
    "text", ["", "1.0", "1e3", "1,000", "+5", "−5", "5%", "x", "5 ", "½", "٣", "1" * 16, r"\frac{4}{2}"]
)
def test_anything_else_is_left_to_the_judge(text: str) -> None:
    assert compare_integers("5", text) is compare_integers(text, "5") is None


def test_the_pool_asks_no_worker_about_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_Worker", None)
    with GradingPool() as pool:
        grades = pool.grade_many([("5", r"\boxed{5}"), ("5", r"\boxed{05}"), ("5", r"\boxed{6}"), ("5", "5")])
    assert [grade.outcome for grade in grades] == ["right", "right", "wrong", "wrong"]
    assert [grade.answer for grade in grades] == ["5", "05", "6", None]
