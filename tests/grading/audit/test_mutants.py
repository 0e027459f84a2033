"""Mutants are other values, of every kind that the audit promises."""

from __future__ import annotations

import random

import pytest

from tokencredit.grading.audit.mutants import mutants
from tokencredit.grading.audit.proof import why_equal

GOLDS = [
    "17",
    r"-\frac{3}{4}",
    "12.5",
    r"2\sqrt{3}+\pi",
    "x^2-3x+2",
    "Bb+2",
    "(1,-2)",
    r"[2, \infty)",
    r"\{1, 2, 3\}",
    "3, 5, 7",
    r"(-\infty, 0) \cup (2, 5]",
    r"864 \mbox{ inches}^2",
    r"25\%",
    "5x-7y+11z+4=0",
    r"m \frac{d v}{d t}+b v=f",
    r"\sin(2t)",
    r"2(x+1)",
    r"1 \pm \sqrt{19}",
    r"\begin{pmatrix} -2 \\ 14 \end{pmatrix}",
    r"\text{east}",
]


def made(gold: str, draws: int = 12) -> list[tuple[str, str]]:
    return [each for seed in range(draws) for each in mutants(gold, random.Random(f"{seed} {gold}"))]


@pytest.mark.slow
@pytest.mark.parametrize("gold", GOLDS)
def test_no_mutant_of_these_golds_is_equal(gold: str) -> None:
    found = made(gold)
    assert found
    equal = [(kind, text, why) for kind, text in found if (why := why_equal(gold, text, random.Random(5)))]
    assert equal == []


def test_every_kind_of_slip_is_tried() -> None:
    kinds = {kind for gold in GOLDS for kind, _ in made(gold, 3)}
    assert kinds == {
        "digit", "sign", "letter", "case of a letter", "bracket", "deleted token", "deleted term", "exponent", "function",
        "order of a pair", "extra element", "missing element", "ellipsis", "prime", "unit", "equation", "juxtaposed", "word",
    }  # fmt: skip


def test_a_name_before_the_value_is_left_alone() -> None:
    texts = [
        text for kind, text in made("x=3y", 30) if kind in ("letter", "case of a letter", "prime", "deleted token")
    ]
    assert texts
    assert all(text.startswith("x=") for text in texts)


@pytest.mark.parametrize("gold", ["", "{", r"\frac{1}{(2", "}"])
def test_what_is_cut_off_has_no_mutants(gold: str) -> None:
    assert [kind for kind, text in made(gold) if not text] == []
