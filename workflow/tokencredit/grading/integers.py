"""Answers that need no algebra: most golds are integers, and most answers to them are."""

from __future__ import annotations

import re
from typing import Literal

# Up to here Math-Verify too compares integers exactly.
_INTEGER = re.compile(r"-?[0-9]{1,15}")


def compare_integers(gold: str, answer: str) -> Literal["right", "wrong"] | None:
    """The outcome where both texts are integers and nothing else; None where algebra has to say it."""
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return "right" if int(gold) == int(answer) else "wrong"
    return None
