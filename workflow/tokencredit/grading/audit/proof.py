r"""Whether an answer is provably the gold's value: the audit's own decision on what a grader called right.

Two expressions are equal when they agree to 300 digits at random values of their letters, real ones of both signs: a polynomial or
rational identity that holds there by chance is less likely than a fault of the machine (Schwartz 1980, Zippel 1979). The conventions
of *What counts as right* are further reasons. What cannot be read here is not proved: the audit then reports it.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from typing import Any

import mpmath

from tokencredit.grading.audit.evaluation import DIGITS, UnreadableError, value
from tokencredit.grading.audit.intervals import region, same_region
from tokencredit.grading.audit.pieces import Answer, cut, plain_looks
from tokencredit.grading.extract import gold_answer

POINTS = 3  # random assignments at which both sides are evaluated
AGREEMENT = 300  # digits: `1-1/2^{300}` is not `1-1/2^{301}`
MOST_MEMBERS = 8  # of a set whose members are matched in any order

_SAME = f"the values agree to {AGREEMENT} digits at random points"
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_FALLING = {">", r"\ge", r"\geq", r"\geqslant", r"\gt"}
_TURNED = {
    ">": "<",
    r"\ge": r"\le",
    r"\geq": r"\le",
    r"\leq": r"\le",
    r"\gt": "<",
    r"\lt": "<",
    r"\leqslant": r"\le",
    r"\geqslant": r"\le",
    r"\neq": r"\ne",
}


def why_equal(gold: str, answer: str, rng: random.Random) -> str | None:
    """Why the answer's value is the gold's, in words; None where that is not proved."""
    a, b = (Answer(plain_looks(gold_answer(text))) for text in (gold, answer))
    if _bare(a.text) == _bare(b.text):
        return "the texts differ in their looks only"
    if a.kind == b.kind == "words":
        return "words and choices are compared without their case" if _word(a.core) == _word(b.core) else None
    (unit, scale), (other, other_scale) = _measure(a.unit), _measure(b.unit)
    if unit and other and unit != other:
        return None
    try:
        with mpmath.workdps(DIGITS):
            percent = [1, 100, mpmath.mpf(1) / 100] if ("%" in a.unit) != ("%" in b.unit) else [1]
            for factor in percent:
                factor *= mpmath.mpf(scale) / other_scale
                if all(_equal(a, b, _Names(rng.getrandbits(64)), factor) for _ in range(POINTS)):
                    return (
                        _SAME
                        if unit == other and len(percent) == 1
                        else f"{_SAME}; a unit or percent sign may be missing"
                    )
    except (UnreadableError, ZeroDivisionError, ValueError, OverflowError):
        pass
    return None


def _bare(text: str) -> str:
    """The text without spaces and without zeros that lead it: `09:38` is `9:38`."""
    return re.sub(r"^0+(?=\d)", "", text.replace(" ", ""))


def _word(text: str) -> str:
    return re.sub(r"\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname)|[^A-Za-z0-9^]", "", text).casefold()


def _measure(unit: str) -> tuple[str, int]:
    """The unit without its word of scale, and what that multiplies by."""
    word = "%" if "%" in unit else _word(unit)
    for name, scale in _SCALES.items():
        if name in word:
            return re.sub(f"{name}s?", "", word), scale
    return word, 1


class _Names:
    """Random values of letters, the same whenever a letter is asked for again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        if name not in self._known:
            rng = random.Random(f"{self._seed} {name}")
            self._known[name] = mpmath.mpf(rng.choice((-1, 1))) * (
                rng.getrandbits(160) * mpmath.mpf(2) ** -158 + mpmath.mpf("0.3")
            )
        return self._known[name]


def _equal(a: Answer, b: Answer, names: Callable[[str], Any], factor: Any) -> bool:
    """Whether two answers are equal with these values of their letters."""
    if "relation" in (a.kind, b.kind):
        return _equal_relations(a, b, names, factor)
    if a.kind in ("sequence", "matrix") or b.kind in ("sequence", "matrix"):
        if a.kind != b.kind:
            return False
        if a.kind == "matrix":
            return _same_members(_entries(a.core), _entries(b.core), names, ordered=True)
        return _ends(a) == _ends(b) and _same_members(a.items, b.items, names, ordered=True)
    if "union" in (a.kind, b.kind):
        regions = [region(each.items, names) for each in (a, b)]
        if all(regions):
            return same_region(*regions)
        return _same_members(a.items, b.items, names, ordered=False)
    if {a.kind, b.kind} & {"set", "list"} or r"\pm" in a.text + b.text:
        return _same_members(_both_signs(a.items), _both_signs(b.items), names, ordered=False)
    return _close(value(a.core, names) * factor, value(b.core, names))


def _equal_relations(a: Answer, b: Answer, names: Callable[[str], Any], factor: Any) -> bool:
    if a.kind == b.kind == "relation":
        if a.named and b.named and _equal(Answer(a.named), Answer(b.named), names, factor):
            return True
        if len(a.relations) != 1 or len(b.relations) != 1:
            (sides, relations), (others, theirs) = _rising(a), _rising(b)
            return relations == theirs and _same_members(sides, others, names, ordered=True)
        first, second = (_TURNED.get(answer.relations[0], answer.relations[0]) for answer in (a, b))
        signs = [-1 if answer.relations[0] in _FALLING else 1 for answer in (a, b)]
        left, right = (
            sign * (value(answer.sides[0], names) - value(answer.sides[1], names))
            for answer, sign in zip((a, b), signs, strict=True)
        )
        other = _Names(random.Random(str(left)).getrandbits(64))
        left_2, right_2 = (
            sign * (value(answer.sides[0], other) - value(answer.sides[1], other))
            for answer, sign in zip((a, b), signs, strict=True)
        )
        # One constant between both differences at every point; of an inequality a positive one.
        ratio = left / right
        return first == second and _close(ratio, left_2 / right_2) and (first in ("=", r"\ne") or mpmath.re(ratio) > 0)
    unwrapped = [Answer(answer.named) if answer.kind == "relation" and answer.named else answer for answer in (a, b)]
    return "relation" not in {answer.kind for answer in unwrapped} and _equal(*unwrapped, names, factor)


def _rising(answer: Answer) -> tuple[list[str], list[str]]:
    """Sides and relations of a chain, from the smallest side where it falls."""
    relations = [_TURNED.get(relation, relation) for relation in answer.relations]
    falls = all(relation in _FALLING for relation in answer.relations)
    return (answer.sides[::-1], relations[::-1]) if falls else (answer.sides, relations)


def _same_members(a: list[str], b: list[str], names: Callable[[str], Any], *, ordered: bool) -> bool:
    if ordered:
        return len(a) == len(b) and all(_same_member(x, y, names) for x, y in zip(a, b, strict=True))
    if max(len(a), len(b)) > MOST_MEMBERS**2:
        return False

    def inside(member: str, others: list[str]) -> bool:
        return any(_same_member(member, other, names) for other in others)

    return all(inside(member, b) for member in a) and all(inside(member, a) for member in b)


def _same_member(a: str, b: str, names: Callable[[str], Any]) -> bool:
    """Whether two members are equal: under names, under the same one."""
    first, second = Answer(a.strip()), Answer(b.strip())
    if first.named and second.named and first.sides[0].strip() != second.sides[0].strip():
        return False
    return _equal(first, second, names, 1)


def _ends(answer: Answer) -> list[str]:
    """The brackets of a pair or interval; at infinity they say nothing."""
    ends = zip(answer.brackets, (answer.items[0], answer.items[-1]), strict=True)
    return ["" if r"\infty" in item else bracket for bracket, item in ends]


def _both_signs(items: list[str]) -> list[str]:
    found = []
    for item in items:
        both = r"\pm" in item or r"\mp" in item
        found += (
            [item.replace(r"\pm", "+").replace(r"\mp", "-"), item.replace(r"\pm", "-").replace(r"\mp", "+")]
            if both
            else [item]
        )
    return found


def _entries(matrix: str) -> list[str]:
    """The entries of a matrix, row by row, and a mark at the end of each row."""
    inner = re.sub(r"\\(?:begin|end)\s*\{[a-z]+\*?\}", "", matrix)
    rows = [[cell.strip() for cell in cut(row, ["&"])] for row in cut(inner, [r"\\"]) if row.strip()]
    return list(itertools.chain.from_iterable([*row, str(len(row))] for row in rows))


def _close(a: Any, b: Any) -> bool:
    if not (mpmath.isfinite(a) and mpmath.isfinite(b)):
        return bool(mpmath.isinf(a)) and a == b
    return abs(a - b) <= mpmath.mpf(10) ** -AGREEMENT * max(abs(a), abs(b))
