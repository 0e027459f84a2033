"""``math``: the answer equals the gold as mathematics (``judge.py``): by exact arithmetic at once, by SymPy in workers."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from tokencredit.grading.judge import fast
from tokencredit.grading.rationals import compare_rationals


def label() -> str:
    """Its version and SymPy's; the first number goes up whenever a verdict may change."""
    return f"tokencredit 2, sympy {metadata.version('sympy')}"


def at_once(gold: str, answer: str) -> tuple[str, str | None] | None:
    """The judgement without SymPy; None where it takes SymPy."""
    outcome = compare_rationals(gold, answer)
    return fast(gold, answer) if outcome is None else (outcome, None)


def in_worker() -> Callable[[str, str], tuple[str, str | None]]:
    """``judge``, after SymPy's first proof: what it imports and builds for that takes a second, which is no answer's."""
    from tokencredit.grading.judge import judge
    from tokencredit.grading.mathematics.algebra import warm_up

    warm_up()
    return judge
