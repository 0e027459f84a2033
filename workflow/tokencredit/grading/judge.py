r"""The verdict on an extracted answer: both sides are read (``reading/answers.py``), their values compared (``compare.py``).

`fast` does without SymPy and gives None where only SymPy may tell; the pool calls it in its own process. `judge` goes on with SymPy
(``mathematics/algebra.py``); workers call it. Nothing in an answer is ever run as code: the grammar makes numbers, names and a closed
list of functions.

Where a text can be read in two ways (``reading/grammar.py`` lists them), both sides are compared in each; unless all agree, nobody
knows which was meant, and the answer is ungraded.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import NamedTuple

from tokencredit.grading.compare import Comparison
from tokencredit.grading.extract import gold_answer
from tokencredit.grading.mathematics import equality
from tokencredit.grading.mathematics.normal_form import forget, form
from tokencredit.grading.mathematics.polynomials import Quotient, TooLargeError, begin
from tokencredit.grading.reading.answers import Read, Text, read
from tokencredit.grading.reading.tokens import Node, UnreadableError
from tokencredit.grading.regions import UndecidedError


class Verdict(NamedTuple):
    """``outcome``: "right", "wrong" or "ungraded"."""

    outcome: str
    reason: str | None


AS_TEXT = "compared as text: the gold cannot be read as mathematics"
MOST_READINGS = 3  # kinds of doubt in one pair; each doubles the comparisons
DOUBTS = {
    "slash": "what follows a fraction with a slash stands beside it or in its denominator",
    "call": "a name before brackets is a function or a factor",
    "log": "a logarithm without a base is the natural or the decimal one",
    "root": "a root of bare digits covers all of them or the first",
    "mixed": "a number before a fraction is added or multiplied",
    "numbers": "two numbers stand beside each other without a sign",
    "argument": "a function is applied to a fraction with a slash or to its numerator",
}

Prove = Callable[[Quotient, Quotient], bool]


_LOCK = threading.Lock()  # generators are remembered for the whole process


class AlgebraNeededError(Exception):
    """Whether the two are equal takes SymPy."""


def fast(gold: str, answer: str) -> Verdict | None:
    """The verdict without SymPy, None where it takes SymPy."""
    with _LOCK:
        try:
            return _judged(gold, answer, _without_algebra)
        except AlgebraNeededError:
            return None
        # A defect of the grader, which ends no run: the worker meets it again, and reports it.
        except Exception:  # noqa: BLE001
            return None


def judge(gold: str, answer: str) -> Verdict:
    """Outcome and reason for an extracted answer, with SymPy."""
    from tokencredit.grading.mathematics.algebra import proven_equal

    with _LOCK:
        return _judged(gold, answer, proven_equal)


def _without_algebra(a: Quotient, b: Quotient) -> bool:
    raise AlgebraNeededError


def _judged(gold: str, answer: str, prove: Prove) -> Verdict:
    gold = gold_answer(gold)
    if not gold:
        return Verdict("ungraded", "the gold answer is empty")
    forget()
    begin()
    first = read(gold), read(answer)
    verdict = _compared(*first, prove)
    doubts = sorted(first[0].met | first[1].met)
    if not doubts or verdict.outcome == "ungraded":
        return verdict
    if len(doubts) > MOST_READINGS:
        return Verdict("ungraded", f"it can be read in many ways: {DOUBTS[doubts[0]]}")
    for count in range(1, len(doubts) + 1):
        for others in itertools.combinations(doubts, count):
            kinds = frozenset(others)
            if _compared(read(gold, kinds), read(answer, kinds), prove).outcome != verdict.outcome:
                return Verdict("ungraded", f"it can be read in two ways: {DOUBTS[others[0]]}")
    return verdict


def _compared(gold: Read, answer: Read, prove: Prove) -> Verdict:
    def equal(a: Node | Quotient, b: Node | Quotient) -> bool:
        first, second = (each if isinstance(each, Quotient) else form(each) for each in (a, b))
        found = equality.same(first, second)
        return prove(first, second) if found is None else found

    try:
        same = Comparison(equal).same(gold.value, answer.value)
    except UndecidedError as undecided:
        if gold.value == answer.value:
            return Verdict("right", None)
        return Verdict("ungraded", str(undecided))
    except UnreadableError as error:
        if gold.value == answer.value:
            return Verdict("right", AS_TEXT)
        return Verdict("ungraded", f"one side has no value: {error}")
    except TooLargeError as error:
        if gold.value == answer.value:
            return Verdict("right", None)
        return Verdict("ungraded", f"the comparison is too much work: {error}")
    if same and isinstance(gold.value, Text) and not gold.value.words:
        return Verdict("right", AS_TEXT)
    return Verdict("right" if same else "wrong", None)
