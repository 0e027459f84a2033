"""Rewritings keep the value: the audit's own proof, which knows nothing of how they are made, says so of each."""

from __future__ import annotations

import random

import pytest

from tests.grading.audit.test_mutants import GOLDS
from tokencredit.grading.audit.proof import why_equal
from tokencredit.grading.audit.rewritings import rewritings

MORE = [
    "12345",
    r"\frac{3}{8}",
    "6-5i",
    r"\left( 3, \frac{\pi}{2} \right)",
    "1e-5",
    "y=2x+1",
    r"-1 \le x < 7",
    "x<3",
    "(n-2)2^{n}+1",
]


@pytest.mark.parametrize("gold", [*GOLDS, *MORE])
def test_every_rewriting_is_provably_equal(gold: str) -> None:
    found = [each for seed in range(6) for each in rewritings(gold, random.Random(f"{seed} {gold}"))]
    assert found
    assert [each for each in found if why_equal(gold, each[1], random.Random(7)) is None] == []


def test_every_kind_is_tried() -> None:
    kinds = {kind for gold in [*GOLDS, *MORE] for kind, _ in rewritings(gold, random.Random(1))}
    assert kinds >= {
        "spaces", "no spaces", r"\dfrac", r"\left and \right", r"\left (", "swapped terms", "half of its double",
        "both sides times two", "one side", "turned relation", "reversed", "name before it", "dollar signs", "full stop",
        "thousands", "point zero", "decimal", "braces",
    }  # fmt: skip
    assert [text for kind, text in rewritings(r"\frac{1}{3}", random.Random(1)) if kind in ("slash", "decimal")] == [
        "1/3"
    ]


AMBIGUOUS = [
    "70,110",
    r"11,\! 111,\! 111",
    r"111, \! 111",
    "1e-5",
    "5:30",
    "90_5",
    "152A_{11}",
    r"x, \ldots, y",
    "0.5...",
]


@pytest.mark.parametrize("gold", AMBIGUOUS)
def test_what_could_be_read_in_another_way_is_not_calculated_with(gold: str) -> None:
    kinds = {kind for kind, _ in rewritings(gold, random.Random(1))}
    assert not kinds & {"swapped terms", "reversed"}
    assert gold == "1e-5" or "half of its double" not in kinds
