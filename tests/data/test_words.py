"""Two typesettings of one problem have the same words."""

from __future__ import annotations

import pytest

from tokencredit.data.words import words


def test_words_are_letters_and_digits_apart() -> None:
    assert words(r"Let $2x_1 = \frac{3}{4}$. 求 Y") == ("let", "2", "x", "1", "frac", "3", "4", "y")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Find the AREA of ABC", "find the area of abc"),
        ("Find x", "\uff26\uff49\uff4e\uff44 \uff58"),  # full width
        ("Find the area", "Find th\u0435 \u0430r\u0435\u0430"),  # Cyrillic letters in Latin words
        ("Find x", "Find \u0445"),  # a Cyrillic letter by itself
        ("Find the area", "Fi\u00adnd the a\u200brea"),  # soft hyphen, zero-width space
        (r"Add \frac12 and \dfrac34", r"Add \frac{1}{2} and \frac{3}{4}"),
        (r"Add \tfrac 12", r"Add \frac{1}{2}"),
        ("Evaluate 3 + 4", "Q1. Evaluate 3 + 4"),
        ("Evaluate 3 + 4", "Problem 12: Evaluate 3 + 4"),
        ("Evaluate 3 + 4", "(7) Evaluate 3 + 4"),
        ("There are 3 cats and 21 dogs", "There are three cats and twenty-one dogs"),
        ("It has 200 or 5000 stones", "It has two hundred or five thousand stones"),
        ("It has 12000 stones", "It has 12,000 stones"),
    ],
)
def test_the_same_words(text: str, other: str) -> None:
    assert words(text) == words(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Add 12 and 3", "Add 1 and 23"),
        ("2.5 litres", "5 litres"),
        ("twenty and one", "21"),
        ("1, 2, 3", "123"),
        (r"\frac{12}{3}", r"\frac{1}{2}"),
    ],
)
def test_other_words(text: str, other: str) -> None:
    assert words(text) != words(other)


def test_other_scripts_are_not_seen() -> None:
    assert words("Найдите площадь 求和") == ()
