r"""An answer as a value with a type. ``read`` is the one place that decides what a text is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from tokencredit.grading.reading.grammar import Reading
from tokencredit.grading.reading.text import folded, normal
from tokencredit.grading.reading.tokens import Node, Token, UnreadableError, tokenize, words
from tokencredit.grading.reading.units import Unit


@dataclass(frozen=True)
class Value:
    """The base of all types."""

    @property
    def type(self) -> str:
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Expression(Value):
    """A number or an expression. ``name``: what it is said to be the value of (x in ``x = 5``), ``left`` that name as mathematics."""

    node: Node
    unit: Unit | None = None
    percent: bool = False
    name: str | None = None
    left: Node | None = None

    @property
    def type(self) -> str:
        return "quantity" if self.unit else "expression"


@dataclass(frozen=True)
class Equation(Value):
    left: Node
    right: Node


@dataclass(frozen=True)
class Relation(Value):
    """Sides and the signs between them: ``0 < x <= 4`` has three sides and ("<", "<=")."""

    sides: tuple[Node, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Interval(Value):
    """``low`` and ``high`` may be infinite (op "infty", negated by "mul")."""

    low: Node
    high: Node
    closed_low: bool
    closed_high: bool
    name: str | None = None


@dataclass(frozen=True)
class Parts(Value):
    """Several values. ``kind``: "list" (bare, commas or "or"), "set" (braces), "tuple" (round brackets), "brackets" (square ones).

    ``names``: of ``x = 1, y = 2``. ``number``: what the text is if its commas mark thousands.
    """

    kind: str
    items: tuple[Value, ...]
    name: str | None = None
    number: Node | None = None
    alternatives: bool = False

    @property
    def type(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Union(Value):
    """Intervals and sets joined (``sign`` "cup") or the reals without a set ("setminus")."""

    pieces: tuple[Value, ...]
    name: str | None = None


@dataclass(frozen=True)
class Matrix(Value):
    rows: tuple[tuple[Node, ...], ...]
    determinant: bool = False


@dataclass(frozen=True)
class Ratio(Value):
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Time(Value):
    """``parts``: hours, minutes and perhaps seconds; ``half``: "a", "p" or None."""

    parts: tuple[int, ...]
    half: str | None


@dataclass(frozen=True)
class Based(Value):
    """Digits in a base."""

    digits: str
    base: int


@dataclass(frozen=True)
class Choice(Value):
    letter: str
    text: str = ""


@dataclass(frozen=True)
class Text(Value):
    """Words; also mathematics that nobody can read, with the ``reason``. ``number``: the one behind words, which may be what is meant."""

    folded: str
    words: tuple[str, ...] = ()
    number: Fraction | None = None
    reason: str = field(default="it is words", compare=False)


@dataclass(frozen=True)
class Read:
    """What a text was read as, and which ways of reading it there are (``grammar.Reading``)."""

    value: Value
    met: frozenset[str] = frozenset()


_CHOICE = re.compile(
    r"\\(?:text|textbf|mathrm|textrm|mbox)\s*\{\s*\(?([A-Za-z])\)?[.:]?\s*\}|\\mathbf\{\(?([A-Z])\)?\}|\(([A-Za-z])\)|([A-Z])[.)]"
)
_LABELLED = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mbox)\s*\{\s*)?\(([A-J])\)[\s}]*[.:]?\s*([A-Za-z\\].*|-?[\d$].*)", re.DOTALL
)
_HALF = r"(?:\\(?:text|mathrm|mbox|textrm)\s*\{\s*)?([ap])\.?\s?m\.?\s*\}?"
_TIME = re.compile(rf"(\d{{1,2}})(?::(\d\d))?(?::(\d\d))?\s*(?:{_HALF})?", re.IGNORECASE)
_COLON = re.compile(r"\\(?:text|mathrm)\s*\{\s*:\s*\}|\\?!?\s*:\s*\\?!?|\{:\}")
_DOTS = re.compile(r"\\ldots|\.\.\.")
_SINGLE_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox|textnormal|emph|hbox|mathit)\s*\{([^{}]*)\}")
_BASED = re.compile(
    r"\{?(-?)(?:\(([0-9A-Z]+)\)|([0-9][0-9A-Z]*|\{[0-9A-Z]+\}))_(?:\{\s*\(?(\d+)\)?\s*\}|(\d+)|\{\\text\s*\{([a-z]+)\}\})\}?"
)
_ORDINAL = re.compile(
    r"(\d+)\s?(?:\^?\{?\\(?:text|mathrm)\s*\{\s*(st|nd|rd|th)\s*\}\}?|(st|nd|rd|th)|\^\{?(st|nd|rd|th)\}?)"
)
_WORDS_AND_NUMBER = re.compile(r"(?:[A-Za-z]+ )+(-?\d{1,15})")
NUMBER_WORDS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third quarter fourth fifth dozen once "
    "twice infinity infinite infinitely many none no not nothing empty all any every everything real reals undefined set solution "
    "solutions exist exists unknown constant positive negative integer integers degrees percent pi root square minus plus times over or "
    "and equal equals x y n than less more"
)
_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "sixteen": 16,
}


@lru_cache(maxsize=8192)
def read(text: str, other: frozenset[str] = frozenset()) -> Read:
    """The value of an answer. Never raises for a text that is not mathematics: that is a ``Text`` with the reason why not."""
    reading = Reading(other)
    whole = normal(text)
    try:
        value = _special(whole) or _mathematics(tokenize(whole), reading)
    except UnreadableError as error:
        told = _WORDS_AND_NUMBER.fullmatch(whole)
        number = Fraction(told[1]) if told and is_plain(told[0]) else None
        return Read(Text(folded(text), number=number, reason=str(error)))
    return Read(value, frozenset(reading.met))


def _special(whole: str) -> Value | None:
    """What is told by the look of the whole text, before there are tokens."""
    if not whole:
        raise UnreadableError("nothing is left of it")
    if _DOTS.search(whole):
        raise UnreadableError("it has dots for what is left out")
    single = _SINGLE_TEXT.fullmatch(whole)
    if single is not None and single[1].strip():
        return _text(single[1].strip())
    choice = _CHOICE.fullmatch(whole)
    if choice is not None:
        return Choice(next(filter(None, choice.groups())))
    labelled = _LABELLED.fullmatch(whole)
    if labelled is not None:
        return Choice(labelled[1], folded(labelled[2]))
    timed = _COLON.sub(":", whole) if ":" in whole else whole
    time = _time(timed)
    if time is not None:
        return time
    based = _BASED.fullmatch(whole.replace(" ", ""))
    if based is not None:
        base = int(based[4] or based[5] or _BASES.get(based[6], 0))
        return _based(based[1], (based[2] or based[3]).strip("{}"), base)
    ordinal = _ORDINAL.fullmatch(whole)
    if ordinal is not None and (ordinal[2] or ordinal[3] or ordinal[4]) == _ordinal_ending(int(ordinal[1])):
        return Expression(Node("number", (Fraction(int(ordinal[1])), None)))
    return None


def _text(content: str) -> Value:
    r"""What stands in one group of text: a time, a choice, a number, letters to choose, words."""
    if (time := _time(content)) is not None:
        return time
    if re.fullmatch(r"\(?[A-Za-z]\)?", content):
        return Choice(content.strip("()"))
    if re.fullmatch(r"\(?[A-Z]\)?(?:\s*(?:,|and|;)\s*\(?[A-Z]\)?)+", content):
        return Parts("list", tuple(Choice(letter) for letter in re.findall("[A-Z]", content)))
    labelled = _LABELLED.fullmatch(content)
    if labelled is not None:
        return Choice(labelled[1], folded(labelled[2]))
    if re.search(r"\d", content):
        return read(content).value
    return words_of(content)


def is_plain(text: str) -> bool:
    """Whether no word of a text counts or calculates."""
    return not NUMBER_WORDS.intersection(text.lower().split())


def words_of(content: str) -> Text:
    return Text(folded(content).casefold(), tuple(re.findall(r"[^\W\d_]+", content.casefold())))


def _time(text: str) -> Time | None:
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[4]):
        return None
    parts = tuple(int(part) for part in match.group(1, 2, 3) if part is not None)
    if any(part > 59 for part in parts[1:]) or (match[4] and not 1 <= parts[0] <= 12):
        return None
    return Time(parts if len(parts) > 1 else (*parts, 0), match[4].lower() if match[4] else None)


def _based(sign: str, digits: str, base: int) -> Based:
    if not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in digits):
        raise UnreadableError("digits that are not of the base behind them")
    return Based(sign + (digits.lstrip("0") or "0"), base)


def _ordinal_ending(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _mathematics(tokens: Sequence[Token], reading: Reading) -> Value:
    from tokencredit.grading.reading.structure import structured

    return structured(tokens, reading)
