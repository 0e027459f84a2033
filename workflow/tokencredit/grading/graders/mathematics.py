"""``math``: the answer equals the gold as mathematics. How the two are read and compared: ``judge.py``, in workers; plain numbers here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from tokencredit.grading.rationals import compare_rationals


def label() -> str:
    """Math-Verify and its version."""
    return f"math-verify {metadata.version('math-verify')}"


def at_once(gold: str, answer: str) -> tuple[str, str | None] | None:
    """The judgement on two plain numbers that are equal or clearly differ."""
    outcome = compare_rationals(gold, answer)
    return None if outcome is None else (outcome, None)


def in_worker() -> Callable[[str, str], tuple[str, str | None]]:
    """``judge``, with SymPy kept from running strings as code."""
    from tokencredit.grading.judge import forbid_evaluation, judge, parse_in_two_stages

    forbid_evaluation()
    parse_in_two_stages()
    return judge
