r"""Units and scale words behind a number.

A scale word multiplies (million, dozen). Known units have a dimension and a size and are converted. Other nouns, which only an upright
group may hold (``\text{ apples}``), are names of units that nothing is known of. Words that turn the meaning (or, if, less, loss) make
the answer a text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from tokencredit.grading.reading.tokens import words


class Unit(NamedTuple):
    """``name`` as compared; ``dimension`` and ``size`` of a known unit, in the first unit of its dimension."""

    name: str
    dimension: str | None = None
    size: Fraction = Fraction(1)


SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "score": 20,
}
SCALES |= {f"{word}s": factor for word, factor in SCALES.items()}
PERCENT = frozenset(("percent", "percentage", "per cent", "percentage points", "percent points", "%"))

_DIMENSIONS: dict[str, dict[str, str]] = {
    "length": {
        **{"1": "m meter meters metre metres", "1/100": "cm centimeter centimeters centimetre centimetres"},
        **{
            "1/1000": "mm millimeter millimeters millimetre millimetres",
            "1000": "km kilometer kilometers kilometre kilometres",
        },
        **{"1/10": "dm decimeter decimeters", "254/10000": "in inch inches", "3048/10000": "ft foot feet"},
        **{"9144/10000": "yd yard yards", "1609344/1000": "mi mile miles"},
    },
    "time": {
        **{
            "1": "s sec second seconds secs",
            "60": "min minute minutes mins",
            "3600": "h hr hour hours hrs",
            "86400": "d day days",
        },
        **{"604800": "week weeks", "1/1000": "ms millisecond milliseconds"},
    },
    "months": {"1": "month months", "12": "year years yr yrs", "120": "decade decades", "1200": "century centuries"},
    "mass": {
        **{"1": "g gram grams", "1000": "kg kilogram kilograms", "1/1000": "mg milligram milligrams"},
        **{
            "45359237/100000": "lb lbs pound pounds",
            "28349523125/1000000000": "oz ounce ounces",
            "1000000": "ton tons tonne tonnes",
        },
    },
    "money": {"1": "dollar dollars USD usd US-dollars", "1/100": "cent cents"},
    "volume": {
        "1": "L l liter liters litre litres",
        "1/1000": "mL ml milliliter milliliters",
        "3785411784/1000000000": "gallon gallons",
    },
    "angle": {"1": "degree degrees deg"},
    "radians": {"1": "rad radian radians"},
    "euros": {"1": "euro euros EUR"},
    "speed mph": {"1": "mph"},
}
_KNOWN: dict[str, tuple[str, Fraction]] = {
    name: (dimension, Fraction(size))
    for dimension, sizes in _DIMENSIONS.items()
    for size, names in sizes.items()
    for name in names.split()
}
# Letters that are no unit where they stand bare, as 5 m or 3 h.
PLAIN = (
    frozenset(name for name in _KNOWN if len(name) > 1 and name not in ("in", "min", "ms", "dm"))
    | frozenset(SCALES)
    | {"percent"}
)

_TURNS = words(
    "or and if when where unless not no nor maybe perhaps possibly otherwise else than less more fewer least most times of to from until "
    "between except without rather first second third plus minus over under below above half double twice quarter loss lost debt west "
    "south down left behind ago short negative bc bce approximately about almost nearly around roughly but answer is are was with either "
    "both neither none all any every each even odd true false yes only exactly remainder base mod am pm squared cubed impossible wrong "
    "incorrect for then so given case until by a b c i ii iii"
) - {"any"}
_WORD = re.compile("[A-Za-z]+")
_POWER = re.compile(r"\s*\^?\s*\{?\s*([23])\s*\}?$")
_PREFIX = re.compile(r"^(square|sq\.?|cubic|cu\.?)\s+")
_SPACE = re.compile(r"\s+")
MOST_WORDS = 4


def unit(text: str, known_only: bool = False) -> tuple[Fraction, Unit | None, bool] | None:
    """The factor of scale words, the unit, and whether the text means percent; None where it is no unit."""
    text = _SPACE.sub(" ", text.replace("\\", " ").replace("~", " ").strip(" .,"))
    factor = Fraction(1)
    words = text.split(" ")
    while words and words[0].lower() in SCALES:
        factor *= SCALES[words.pop(0).lower()]
    if words and words[0] == "of":
        words.pop(0)
    rest = " ".join(words)
    if not rest:
        return factor, None, False
    if rest.lower() in PERCENT:
        return factor, None, True
    found = _known(rest)
    if found is not None:
        return factor, found, False
    letters = _WORD.findall(rest)
    if known_only or not letters or len(letters) > MOST_WORDS or not re.fullmatch(r"[A-Za-z /\-^{}23·.]+", rest):
        return None
    if any(word.lower() in _TURNS or word.lower() in SCALES for word in letters):
        return None
    return factor, Unit(_singular(rest)), False


def _known(text: str) -> Unit | None:
    power = 1
    if (raised := _POWER.search(text)) is not None and raised.start() > 0:
        power, text = int(raised[1]), text[: raised.start()].strip()
    elif (prefix := _PREFIX.match(text.lower())) is not None:
        power, text = (2 if prefix[1].startswith("s") else 3), text[prefix.end() :].strip()
    elif text.endswith((" squared", " cubed")):
        power, text = (2 if text.endswith("squared") else 3), text.rsplit(" ", 1)[0]
    for spelt in (text, text.lower()):
        if spelt in _KNOWN:
            dimension, size = _KNOWN[spelt]
            return Unit(f"{spelt}^{power}", f"{dimension}^{power}", size**power)
    return None


def _singular(text: str) -> str:
    return re.sub(r"\s", "", re.sub(r"(?<=[a-z]{2})s\b", "", text.lower()))
