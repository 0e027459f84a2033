"""The words of a problem as problems are compared for overlap: what two typesettings of one text share."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[a-z]+|[0-9]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s*(\d)(?=\d)")
_FRACTION = re.compile(r"\\[dt]frac(?![a-z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
# "Q1.", "Problem 12:", "3)": the place of a problem in its collection.
_NUMBERED = re.compile(
    r"\s*[(\[]?\s*(?:(?:q|question|problem|exercise|example|task|no|ex)\b\.?\s*|q)?\d{1,4}\s*(?:[.:)\]]+)\s+"
)
# Letters of other scripts that look like Latin ones, small after casefold.
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443\u04bb\u0501\u051b\u051d\u0432\u043c\u043d\u043a\u0442"
    "\u03bf\u03bd\u03c1\u03b1\u03b9\u03ba\u03c5\u03c7\u03b7\u03c4\u03b2\u03b5\u03bc\u03b6",
    "aceijopsxyhdqwbmhktovpaikyxntbemz",
)
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS = {word: number for number, word in enumerate(_UNITS.split())}
_NUMBERS |= {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}


def words(text: str) -> tuple[str, ...]:
    """Runs of Latin letters and runs of digits, in lower case; everything else separates.

    Full-width letters count as plain ones, and letters of another script that look like Latin ones as these, in words that hold no other
    letter of that script. ``\\frac12`` is ``\\frac{1}{2}``, a number in words its digits ("twenty-one": 21), 1,000 is 1000, and the
    number of a problem in its collection ("Q1.") is no part of it.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf").casefold()
    text = _LETTERS.sub(lambda match: _latin(match[0]), text)
    text = _NUMBERED.sub("", text, count=1) if _NUMBERED.match(text) else text
    text = _FRACTION.sub(r"\\frac", _SHORT_FRACTION.sub(r"\\frac \1 ", text))
    return _in_digits(_WORD.findall(_THOUSANDS.sub("", text)))


def _latin(word: str) -> str:
    if word.isascii():
        return word
    looks = word.translate(_LOOK_ALIKES)
    return looks if looks.isascii() else word


def _in_digits(found: list[str]) -> tuple[str, ...]:
    """The words with numbers in digits: tens and units are added, hundreds and thousands multiply what stands before them."""
    numbers = [_NUMBERS.get(word) for word in found]
    if not any(number is not None for number in numbers):
        return tuple(found)
    made: list[str] = []
    for place, (word, number) in enumerate(zip(found, numbers, strict=True)):
        before = numbers[place - 1] if place else None
        if number is not None and number < 10 and before is not None and before >= 20:
            made[-1] = str(before + number)
        elif word in _SCALES and place and made[-1].isdigit() and len(made[-1]) < 7:
            made[-1] = str(int(made[-1]) * _SCALES[word])
        else:
            made.append(word if number is None else str(number))
    return tuple(made)
