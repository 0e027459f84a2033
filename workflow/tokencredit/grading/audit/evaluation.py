r"""LaTeX as a number: the audit's own evaluation of an expression at given values of its letters, to hundreds of digits.

A recursive descent over the tokens of ``pieces.py`` that calculates while it reads, in mpmath. It shares nothing with a grader, and it
refuses (``UnreadableError``) rather than guess: what it cannot read is proof of nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import mpmath

from tokencredit.grading.audit.pieces import NAMES, TOKEN, WORDS

DIGITS = 340
LARGEST = 10**5  # bits of the exponent of a number, and the argument of a factorial

_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:,|\{,\})\s?\d{3})+)(?![\d,])")
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "cot": mpmath.cot,
    "sec": mpmath.sec,
    "csc": mpmath.csc,
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "ln": mpmath.log,
    "log": mpmath.log10,
    "exp": mpmath.exp,
}
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_ACCENTS = {r"\dot", r"\ddot", r"\mathbf", r"\vec", r"\mathcal", r"\bar", r"\hat"}
_COMMANDS = _ACCENTS | {r"\pi", r"\infty", r"\frac", r"\sqrt", r"\binom"}
_NAMES_OF_ONE = re.compile(r"[A-Za-z]")


class UnreadableError(Exception):
    """The text is no expression that this module reads."""


def value(text: str, names: Mapping[str, Any] | Callable[[str], Any]) -> Any:
    """The value of an expression, an mpmath number. ``names``: the value of a letter, by its name with index and primes.

    Raises ``UnreadableError`` for what is no expression, and for numbers too large to be calculated.
    """
    look_up = names if callable(names) else names.__getitem__
    text = _THOUSANDS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text)
    if r"\overline" in text:
        text = _REPEATING.sub(_fraction_of, text)
    with mpmath.workdps(DIGITS):
        try:
            reader = _Reader(text, look_up)
            result = reader.sum()
        except (ZeroDivisionError, ValueError, OverflowError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableError(f"{type(error).__name__}: {error}") from error
        if reader.peek() is not None:
            raise UnreadableError(f"{reader.peek()!r} is not expected")
        return result


def _fraction_of(match: re.Match[str]) -> str:
    """``a.b\\overline{c}`` as a fraction."""
    whole, fixed, repeated = match.groups()
    bottom = 10 ** len(fixed) * (10 ** len(repeated) - 1)
    top = int(whole + fixed + repeated or "0") - int(whole + fixed or "0")
    return rf"\frac{{{top}}}{{{bottom}}}"


class _Reader:
    def __init__(self, text: str, look_up: Callable[[str], Any]) -> None:
        self._tokens = _lexed(text)
        self._place = 0
        self._look_up = look_up

    def peek(self) -> str | None:
        return self._tokens[self._place][0] if self._place < len(self._tokens) else None

    def _take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if token is None or (wanted is not None and token != wanted):
            raise UnreadableError(f"{wanted or 'a number'} is expected, not {token}")
        self._place += 1
        return token

    def _spaced(self) -> bool:
        """Whether white space stands before the next token."""
        return self._place < len(self._tokens) and self._tokens[self._place][1]

    def sum(self) -> Any:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        total = sign * self._product()
        while self.peek() in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            total += sign * self._product()
        return total

    def _product(self) -> Any:
        result = self._mixed()
        while (token := self.peek()) is not None:
            if token in (r"\cdot", r"\times", "*"):
                self._take()
                result *= self._signed()
            elif token in ("/", r"\div"):
                self._take()
                result /= self._signed()
            elif self._starts(token):
                if _NUMBER.fullmatch(token) and self._tokens[self._place - 1][0] != ")":
                    raise UnreadableError("a number behind a factor has no reading")
                result *= self._power()
            else:
                break
        return result

    def _signed(self) -> Any:
        if self.peek() == "-":
            self._take()
            return -self._power()
        return self._power()

    def _mixed(self) -> Any:
        """A factor, or a mixed number: digits right before a fraction of digits below one."""
        token = self.peek()
        if (
            token is not None
            and token.isdigit()
            and self._place + 1 < len(self._tokens)
            and self._tokens[self._place + 1][0] == r"\frac"
        ):
            self._take()
            before = self._place
            part = self._power()
            inside = "".join(text for text, _ in self._tokens[before + 1 : self._place])
            if re.fullmatch(r"[\d{}]+", inside):
                if not 0 < part < 1:
                    raise UnreadableError("a number before an improper fraction is no mixed number")
                return mpmath.mpf(token) + part
            return mpmath.mpf(token) * part
        return self._power()

    def _starts(self, token: str) -> bool:
        return bool(
            _NUMBER.fullmatch(token)
            or _NAMES_OF_ONE.fullmatch(token)
            or token in NAMES
            or token in _CLOSES
            or token
            in (
                r"\pi",
                r"\infty",
                r"\frac",
                r"\sqrt",
                r"\binom",
                r"\dot",
                r"\ddot",
                r"\mathbf",
                r"\vec",
                r"\mathcal",
                r"\bar",
                r"\hat",
            )
            or token.lstrip("\\") in _FUNCTIONS
            or re.fullmatch(WORDS, token)
        )

    def _power(self) -> Any:
        base = self._atom()
        while self.peek() in ("!", "^"):
            if self._take() == "!":
                if self.peek() == "!" or abs(base) > LARGEST:
                    raise UnreadableError("a factorial of this has no reading")
                base = mpmath.factorial(base)
            else:
                base = _raised(base, self._argument())
        return base

    def _argument(self) -> Any:
        """A group in braces, or one token: a single digit of a number."""
        if self.peek() == "{":
            return self._group()
        token = self.peek()
        if token == "-":
            self._take()
            return -self._argument()
        if token is not None and token.isdigit() and len(token) > 1:
            self._tokens[self._place : self._place + 1] = [(token[0], False), (token[1:], False)]
        return self._atom()

    def _group(self) -> Any:
        opening = self._take()
        result = self.sum()
        self._take(_CLOSES[opening])
        return result

    def _atom(self) -> Any:
        token = self.peek()
        if token is None:
            raise UnreadableError("the text ends too early")
        if token in _CLOSES:
            return self._group()
        self._take()
        if _NUMBER.fullmatch(token):
            return mpmath.mpf(token)
        match token:
            case r"\pi":
                return +mpmath.pi
            case r"\infty":
                return mpmath.inf
            case "e" if self.peek() != "_":
                return +mpmath.e
            case "i" if self.peek() != "_":
                return mpmath.mpc(0, 1)
            case r"\frac":
                top = self._argument()
                return top / self._argument()
            case r"\binom":
                top = self._argument()
                return mpmath.binomial(top, self._argument())
            case r"\sqrt":
                return self._root()
        if token.lstrip("\\") in _FUNCTIONS:
            return self._function(token.lstrip("\\"))
        if token in _ACCENTS:
            return self._named(f"{token}{self._raw_argument()}")
        if _NAMES_OF_ONE.fullmatch(token) or token in NAMES or re.fullmatch(WORDS, token):
            return self._named(token)
        raise UnreadableError(f"{token!r} has no reading")

    def _raw_argument(self) -> str:
        if self.peek() != "{":
            return self._take()
        self._take()
        inside = ""
        while self.peek() != "}":
            inside += self._take()
        self._take("}")
        return inside

    def _named(self, name: str) -> Any:
        if self.peek() == "_":
            self._take()
            name += f"_{self._raw_argument()}"
        while self.peek() == "'":
            name += self._take()
        following = [text for text, _ in self._tokens[self._place : self._place + 3]]
        # A letter before a single sign in brackets is a function and its argument: `I(0)` is no product with zero.
        if len(following) == 3 and following[0] == "(" and following[2] == ")":
            self._place += 3
            name += "".join(following)
        return self._look_up(re.sub(r"\s", "", name))

    def _root(self) -> Any:
        degree = mpmath.mpf(2)
        if self.peek() == "[":
            self._take()
            degree = self.sum()
            self._take("]")
        return _raised(self._argument(), 1 / degree)

    def _function(self, name: str) -> Any:
        """A function with its power and base, of a group or of the factors that follow."""
        power, base = None, None
        while self.peek() in ("^", "_"):
            if self._take() == "^":
                power = self._argument()
            else:
                base = self._argument()
        if self.peek() in ("(", "[", "{"):
            inner = self._group()
        else:
            inner = self._power()
            while (token := self.peek()) is not None and self._starts(token) and token.lstrip("\\") not in _FUNCTIONS:
                inner *= self._power()
        result = _FUNCTIONS[name](inner)
        if base is not None:
            if name != "log":
                raise UnreadableError(f"{name} has no base")
            result = mpmath.log(inner) / mpmath.log(base)
        if power is not None:
            if power == -1:
                raise UnreadableError("an inverse function and a power look alike")
            result = _raised(result, power)
        return result


def _raised(base: Any, power: Any) -> Any:
    size = abs(mpmath.log(abs(base), 2) * abs(power)) if base else mpmath.mpf(0)
    if size > LARGEST:
        raise UnreadableError("the power is too large")
    return mpmath.power(base, power)


def _lexed(text: str) -> list[tuple[str, bool]]:
    """(token, whether white space stands before it); digits with their decimal point are one token."""
    found: list[tuple[str, bool]] = []
    place, spaced = 0, False
    while place < len(text):
        match = _NUMBER.match(text, place) or TOKEN.match(text, place)
        token, place = match[0], match.end()
        if token.isspace():
            spaced = True
            continue
        found.append((token.strip(), spaced))
        spaced = False
    return found
