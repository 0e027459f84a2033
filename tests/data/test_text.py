"""Answers as they are found, and texts as they are compared."""

from __future__ import annotations

import pytest

from tokencredit.data.text import after_hashes, folded_answer, folded_problem, last_boxed, plain_answer
from tokencredit.errors import UserError


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"so $\boxed{4}$, no: $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"the set is $\boxed{\{1, 2\}}$", r"\{1, 2\}"),
        (r"the answer is $\boxed 9$.", "9"),
        (r"\fbox{7}", "7"),
        (r"nothing in the box: $\boxed{}$", ""),
        (r"never closed: $\boxed{1", ""),
        ("no box", ""),
    ],
)
def test_last_boxed(solution: str, answer: str) -> None:
    assert last_boxed(solution) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2+2=4\n#### 4", "4"),
        ("#### 1,234,567", "1234567"),
        ("#### 1\n#### 2", "2"),
        ("no mark", ""),
        ("#### (1,2)", "(1,2)"),
    ],
)
def test_after_hashes(text: str, answer: str) -> None:
    assert after_hashes(text) == answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (27.0, "27"),
        (0.5, "0.5"),
        (12, "12"),
        ("033", "33"),
        ("000", "0"),
        (" $x+1$ ", "x+1"),
        (["$2$", "$3$"], "2, 3"),
        (None, ""),
        ("0.50", "0.50"),
    ],
)
def test_plain_answer(value: object, answer: str) -> None:
    assert plain_answer(value) == answer


def test_an_answer_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="an answer is a dict, where text, a number or a list of these is read"):
        plain_answer({"a": 1})


def test_folding() -> None:
    assert folded_problem("Find  $x$.\n") == folded_problem("find $x$ .")
    same = [r"$\dfrac{1}{2}$", r"\frac{1}{2}", r"\frac12", r"\tfrac 12", r" \frac{1}{2}. "]
    assert {folded_answer(text) for text in same} == {r"\frac{1}{2}"}
    assert folded_answer(r"\left(1,\, 2\right)") == "(1,2)"
    assert folded_answer("300") != folded_answer("301")
