"""The graders beside mathematics, and what any grader has to hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tokencredit.errors import UserError
from tokencredit.grading import GRADERS, GradingPool, grade


def outcome(grader: str, gold: str, answer: str) -> str:
    return grade(gold, rf"So it is $\boxed{{{answer}}}$.", grader).outcome


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("B", "B", "right"),
        ("B", "(b)", "right"),
        ("(B)", r"\text{B}", "right"),
        ("B", r"\textbf{(B)}\ 42", "right"),
        ("B", "B. 42 metres", "right"),
        ("B", "**B**", "right"),
        ("B", "\uff22", "right"),  # full width
        ("B", "C", "wrong"),
        ("B", "A, B", "wrong"),
        ("B", "(B) or (C)", "wrong"),
        ("B", "B and C", "wrong"),
        ("B", "42", "ungraded"),
        ("B", "BD", "ungraded"),
        ("B", "-B", "ungraded"),
        ("B", r"\neq B", "ungraded"),
        ("B", "B. Not A", "ungraded"),
        ("42", "B", "ungraded"),
    ],
)
def test_choice(gold: str, answer: str, expected: str) -> None:
    assert outcome("choice", gold, answer) == expected


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("Zürich", " Zu\u0308rich ", "right"),
        ("Zürich", "zürich", "wrong"),
        ("5", "5.0", "wrong"),
        ("a b", "a  b", "wrong"),
        (r"\boxed{x}", "x", "right"),
        ("", "x", "ungraded"),
    ],
)
def test_exact(gold: str, answer: str, expected: str) -> None:
    assert outcome("exact", gold, answer) == expected


@pytest.mark.parametrize("grader", GRADERS)
def test_every_grader_keeps_the_rules_of_boxes(grader: str) -> None:
    gold = "B"
    with GradingPool(grader=grader) as pool:
        grades = pool.grade_many([(gold, "B"), (gold, r"\boxed{}"), (gold, r"<think>\boxed{B}"), (gold, r"\boxed{B}")])
        assert [each.outcome for each in grades] == ["wrong", "wrong", "wrong", "right"]
        assert pool.label.startswith("math-verify" if grader == "math" else grader)


def test_an_unknown_grader_is_an_error() -> None:
    with pytest.raises(UserError, match="grader = 'maths': is not known; allowed: math, exact, choice"):
        GradingPool(grader="maths")


def test_the_parent_imports_no_algebra() -> None:
    code = "import sys; from tokencredit.grading import grade; grade('B', r'\\boxed{B}', 'choice'); print('sympy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
