"""Plain numbers are compared without algebra, and as algebra would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.grading import GradingPool
from tokencredit.grading import pool as pool_module
from tokencredit.grading.judge import judge
from tokencredit.grading.rationals import compare_rationals

SPELT = [
    *("0", "-0", "7", "007", "-7", "70", "700", "12", "999999999999999", "-999999999999998", "100000000000000"),
    *(
        "0.5",
        "0.50",
        "1/2",
        "2/4",
        "-1/2",
        "50",
        "0.005",
        "0.3333",
        "0.333333",
        "1/3",
        "3.50",
        "7.0",
        "700.00",
        "10000",
        "10001.0",
    ),
    *(
        r"\frac{1}{2}",
        r"\dfrac{1}{2}",
        r"-\frac{1}{2}",
        r"\frac{-1}{2}",
        r"-\frac{-1}{2}",
        r"\tfrac{7}{2}",
        r"\frac{14}{2}",
    ),
]


@pytest.mark.parametrize("gold", SPELT)
def test_as_the_judge_does(gold: str) -> None:
    for answer in SPELT:
        found = compare_rationals(gold, answer)
        assert found is None or judge(gold, answer) == (found, None), answer


def test_what_is_near_is_left_to_the_judge() -> None:
    """Agreement to four digits."""
    assert compare_rationals("0.3333", "1/3") is None
    assert compare_rationals("0.333", "1/3") == "wrong"


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-200, 200))
def test_the_values_decide(gold: int, more: int) -> None:
    assert compare_rationals(str(gold), str(gold)) == "right"
    if abs(gold + more) < 10**15:
        assert compare_rationals(str(gold), str(gold + more)) == ("wrong" if more else "right")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.",
        ".5",
        "1e3",
        "1,000",
        "+5",
        "−5",
        "5%",
        "x",
        "5 ",
        "½",
        "٣",
        "1" * 16,
        "1/0",
        r"\frac{4}{0}",
        r"1\frac{1}{2}",
    ],
)
def test_anything_else_is_left_to_the_judge(text: str) -> None:
    assert compare_rationals("5", text) is compare_rationals(text, "5") is None


def test_the_pool_asks_no_worker_about_plain_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_Worker", None)
    with GradingPool() as pool:
        grades = pool.grade_many([("5", r"\boxed{5}"), ("5", r"\boxed{05}"), ("5", r"\boxed{6}"), ("5", "5")])
    assert [grade.outcome for grade in grades] == ["right", "right", "wrong", "wrong"]
    assert [grade.answer for grade in grades] == ["5", "05", "6", None]
