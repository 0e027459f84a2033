"""Answers that need no algebra: most golds are rational numbers written plainly, and so are most answers to them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

# Numbers that agree to four digits are left to ``judge.fast``: one may be the other, rounded.
RELATIVE = Fraction(1, 10_000)

_DIGITS = "[0-9]{1,15}"
_PLAIN = re.compile(rf"-?{_DIGITS}(?:\.[0-9]{{1,8}}|/{_DIGITS})?")
_FRACTION = re.compile(rf"(-?)\\[dt]?frac\{{(-?{_DIGITS})\}}\{{(-?{_DIGITS})\}}")


def compare_rationals(gold: str, answer: str) -> Literal["right", "wrong"] | None:
    """The outcome for two integers, decimals or fractions that are equal or clearly differ; None where algebra has to say it."""
    a, b = _value(gold), _value(answer)
    if a is None or b is None:
        return None
    if a == b:
        return "right"
    if a.denominator == b.denominator == 1:
        return "wrong"
    return None if abs(a - b) <= RELATIVE * max(abs(a), abs(b)) else "wrong"


def _value(text: str) -> Fraction | None:
    try:
        if _PLAIN.fullmatch(text):
            return Fraction(text)
        if match := _FRACTION.fullmatch(text):
            sign, above, below = match.groups()
            return Fraction(int(f"{sign}1") * int(above), int(below))
    except ZeroDivisionError:
        pass
    return None
