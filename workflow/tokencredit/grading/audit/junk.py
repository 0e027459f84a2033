r"""Responses that no grader may find right, and the golds themselves, which every grader must.

Junk is built to be different for certain, without asking the grader or SymPy:

- ``other``: the gold of another problem. Of two plain numbers, one that differs by more than 1 % and not by the factor 100 of a percent
  sign, in exact arithmetic. Of two expressions, one that names a variable which the other does not (no relations: `x=3` may stand for 3).
- ``perturbed``: an integer n is n + 1, a fraction p/q is (p + q)/q, any other decimal is 1.1 times itself. Behind everything else `+1` is
  written: that changes every finite number and the last member of every list or relation. Golds with an infinity are left out.
- ``empty``: an empty box; ``words``: a sentence in the box.
- ``no_box``, ``open_box``, ``reasoning``: the gold itself without a box, in one that never closes, and in a box within the reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from tokencredit.grading.extract import gold_answer
from tokencredit.records import Problem

WORDS = r"\text{the rest is left to the reader}"

_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?:\.\d*)?(?=[eE]))(?:[eE][+-]?\d+)?")
_FRACTION = re.compile(r"([+-]?)\\[dt]?frac\s*\{(-?\d+)\}\s*\{(\d+)\}|([+-]?)(\d+)/(\d+)")
_AROUND = re.compile(r"^\\?\$|\\?\$$|\\?%$|\^\s*\{?\s*\\circ\s*\}?$")
_RELATION = re.compile(r"[=<>:,;]|\\(?:[lg]eq?|neq?|[lg]t|in|equiv|approx|cup|cap|pm|mp)(?![A-Za-z])")
_NOT_A_LETTER = re.compile(r"\\(?:text|mathrm|textrm|mbox|operatorname|textbf)\s*\{[^{}]*\}|\\[A-Za-z]+")
_CONSTANTS = set("eid")


@dataclass(frozen=True)
class Case:
    """One response of the audit. ``kind``: "gold", a kind of junk, or of a mutant or rewriting."""

    problem_id: str
    kind: str
    gold: str
    response: str


@dataclass(frozen=True)
class _Plain:
    """A gold that is one number: its value, and the text of a number that is certainly another."""

    value: Fraction
    perturbed: str


def golds_and_junk(problems: Sequence[Problem]) -> Iterator[Case]:
    """The golds of a benchmark and their junk, each gold first."""
    golds = [gold_answer(problem.answer) for problem in problems]
    for index, (problem, gold) in enumerate(zip(problems, golds, strict=True)):
        # The others in order, starting behind this one, so that neighbours meet and every gold is somebody's junk.
        others = golds[index + 1 :] + golds[:index]
        responses = {
            "gold": boxed(gold),
            "other": next((boxed(other) for other in others if _differ(gold, other)), None),
            "perturbed": None if (text := perturbed(gold)) is None else boxed(text),
            "empty": r"So the answer is $\boxed{}$.",
            "words": boxed(WORDS),
            "no_box": f"So the answer is ${gold}$.",
            "open_box": rf"So the answer is $\boxed{{{gold}",
            "reasoning": rf"<think>It must be $\boxed{{{gold}}}$.</think> I have finished.",
        }
        for kind, response in responses.items():
            if response is not None:
                yield Case(problem.problem_id, kind, problem.answer, response)


def boxed(answer: str) -> str:
    """A response with this answer."""
    return rf"So the answer is $\boxed{{{answer}}}$."


def perturbed(gold: str) -> str | None:
    """An answer that certainly differs from the gold, and looks like it; None where there is none to be had."""
    plain = _plain(gold)
    if plain is not None:
        return plain.perturbed
    return None if r"\infty" in gold else gold.rstrip("$. ") + "+1"


def _differ(gold: str, other: str) -> bool:
    """True only if the two are certainly different answers."""
    a, b = _plain(gold), _plain(other)
    if a is not None and b is not None:
        pairs = ((a.value, b.value), (100 * a.value, b.value), (a.value, 100 * b.value))
        return all(abs(x - y) > max(abs(x), abs(y)) / 100 for x, y in pairs)
    if a is not None or b is not None or _RELATION.search(gold) or _RELATION.search(other):
        return False
    return _letters(gold) != _letters(other)


def _letters(text: str) -> set[str]:
    return set(re.findall("[a-z]", _NOT_A_LETTER.sub(" ", text).lower())) - _CONSTANTS


def _plain(gold: str) -> _Plain | None:
    text = _AROUND.sub("", _AROUND.sub("", gold.strip().rstrip("."))).replace("{,}", ",").strip()
    if _INTEGER.fullmatch(text):
        number = int(text.replace(",", ""))
        return _Plain(Fraction(number), str(number + 1))
    if _DECIMAL.fullmatch(text):
        decimal = Decimal(text)
        other = decimal * Decimal("1.1") if decimal else Decimal("0.1")
        return _Plain(Fraction(decimal), f"{other:e}" if "e" in text.lower() else f"{other:f}")
    match = _FRACTION.fullmatch(text)
    if match is None:
        return None
    sign, top, bottom = match.group(1, 2, 3) if match[2] else match.group(4, 5, 6)
    numerator, denominator = int(top) * (-1 if sign == "-" else 1), int(bottom)
    if denominator == 0:
        return None
    return _Plain(Fraction(numerator, denominator), rf"\frac{{{numerator + denominator}}}{{{denominator}}}")
