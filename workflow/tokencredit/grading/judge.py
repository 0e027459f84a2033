"""Whether an answer equals the gold, by Math-Verify. Imported by workers only: SymPy costs a second, and any call here may never return.

Model output is never run as code. Two things see to it. The answer goes to the LaTeX grammar alone, never to Math-Verify's extraction
from plain expressions, which evaluates them as Python. And where SymPy itself would evaluate a string (it does so for every numeral
that the grammar found), `forbid_evaluation` puts a reader of single numerals and names that can do nothing else.

Most of the time goes into parsing: `parse_in_two_stages` has the parser try ANTLR's faster prediction first. What is read stays the same.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

import latex2sympy2_extended.latex2sympy2 as latex2sympy2
import sympy
import sympy.parsing.sympy_parser
from antlr4 import CommonTokenStream, PredictionMode
from latex2sympy2_extended.math_normalization import NormalizationConfig, normalize_latex
from math_verify.grader import verify
from math_verify.parser import parse_latex_cached

from tokencredit.grading.extract import gold_answer
from tokencredit.grading.rationals import PERCENT, RELATIVE
from tokencredit.grading.rewrite import folded, keep_last_letter, rewrite

Verdict = tuple[str, str | None]

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="none", equations=False
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")


class UnreadableError(Exception):
    """The text is not mathematics that the parser knows, or has no value (1/0)."""


def forbid_evaluation() -> None:
    """From now on, in this process, SymPy reads strings as a numeral, a name or not at all, where it would run them as Python."""
    sympy.parsing.sympy_parser.parse_expr = _literal


def parse_in_two_stages() -> None:
    """From now on, in this process, LaTeX is parsed by ``_TwoStageParser``."""
    latex2sympy2.PSParser = _TwoStageParser


class _TwoStageParser(latex2sympy2.PSParser):
    """The grammar's parser with SLL prediction, which remembers what it has worked out, and LL prediction for texts that SLL refuses.

    ANTLR's manual says of SLL that it gives the parse tree of LL or a syntax error.
    """

    def math(self) -> Any:
        """The parse tree of the whole text."""
        self._interp.predictionMode = PredictionMode.SLL
        try:
            return super().math()
        # The error listener of Math-Verify's parser raises bare exceptions for syntax errors.
        except Exception:  # noqa: BLE001
            lexer = self.getTokenStream().tokenSource
            lexer.reset()
            self.setTokenStream(CommonTokenStream(lexer))
            self._interp.predictionMode = PredictionMode.LL
            return super().math()


def _literal(text: str, *_: Any, **__: Any) -> sympy.Expr:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return sympy.Integer(int(text))
    if _DECIMAL.fullmatch(text):
        return sympy.Float(text)
    if text.isidentifier():  # SymPy's own, such as the names of its units
        return sympy.Symbol(text)
    raise UnreadableError(f"{text[:80]!r} is neither a numeral nor a name")


def judge(gold: str, answer: str) -> Verdict:
    """Outcome and reason for an extracted answer. Order matters to Math-Verify: the gold comes first."""
    gold = gold_answer(gold)
    if not gold:
        return "ungraded", "the gold answer is empty"
    gold_latex, answer_latex = keep_last_letter(rewrite(gold), rewrite(answer))
    try:
        expected = read(gold_latex)
    except UnreadableError:
        if folded(gold) == folded(answer):
            return "right", "compared as text: the gold cannot be read as mathematics"
        return "ungraded", "the gold cannot be read as mathematics, and the answer's text differs from it"
    try:
        given = read(answer_latex)
    except UnreadableError:
        return "ungraded", "the boxed answer cannot be read as mathematics"
    # Sizes first: it takes microseconds to see that two numbers differ, and Math-Verify simplifies their difference.
    equal = _same_size(expected, given) and verify(expected, given, timeout_seconds=None, raise_on_error=True)
    return ("right" if equal else "wrong"), None


@lru_cache(maxsize=4096)
def read(text: str) -> Any:
    """The SymPy value of a rewritten answer, which is not evaluated yet. Raises ``UnreadableError``."""
    latex = normalize_latex(text, config=_NORMALIZATION)
    if not latex:
        raise UnreadableError("nothing is left of it")
    try:
        value = parse_latex_cached(latex)
    # The grammar, its visitor and SymPy raise whatever they meet in a text that they were not made for: all of it means unreadable.
    except Exception as error:
        raise UnreadableError(str(error)) from error
    if value is None or _has_no_value(value):
        raise UnreadableError("it has no value")
    return value


def _has_no_value(value: Any) -> bool:
    """A ratio with zero, such as 1/0 or the time 12:00, which would equal every other."""
    if not isinstance(value, sympy.Basic):
        return False
    return any(
        isinstance(power, sympy.Pow) and power.exp.is_negative and power.base.is_zero
        for power in value.atoms(sympy.Pow)
    ) or bool(value.has(sympy.zoo, sympy.nan))


def _same_size(expected: Any, given: Any) -> bool:
    """False if both are numbers of different size by more than ``RELATIVE``. Nothing is said of anything else."""
    a, b = _number(expected), _number(given)
    if a is None or b is None:
        return True
    return any(abs(a * factor - b) <= RELATIVE * max(abs(a * factor), abs(b)) for factor in PERCENT)


def _number(value: Any) -> sympy.Number | None:
    """The value as a real number with its digits, or None for everything else and where cancellation left no digit."""
    if isinstance(value, sympy.Eq):
        value = value.rhs
    if not isinstance(value, sympy.Expr) or value.free_symbols:
        return None
    number = value.doit().evalf(20)
    if not number.is_Number or not number.is_finite or getattr(number, "_prec", 53) == 1:
        return None
    return number


logging.getLogger("math_verify").setLevel(logging.CRITICAL)
logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
