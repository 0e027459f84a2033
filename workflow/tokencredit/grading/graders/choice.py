r"""``choice``: one letter, as multiple-choice answers are written: ``B``, ``(b)``, ``\text{B}``, ``\textbf{(B)}\ 42``, ``B. 42``.

An answer that names several letters is wrong: it does not choose. An answer without a letter of its own, such as the text of the option, is
ungraded: which letter it means is not known here.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator

from tokencredit.grading.extract import gold_answer

_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|mathrm|mathbf|mathsf|rm|bf)(?![A-Za-z])|\\(?:q?quad|[ ,;:!])|[{}$~]"
)
_ALONE = re.compile(r"""[\s.:()\[\]*"']*([A-Za-z])[\s.:()\[\]*"']*""")
# A letter in brackets, or with a full stop, bracket or colon behind it; then, behind a space, the option's own text.
_LABELLED = re.compile(r"\s*(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\]|([A-Za-z])\s*[.):])(|\s.*)", re.DOTALL)
_SEVERAL = re.compile(r"\W*[A-Za-z](?:(?:[\W_]|\band\b|\bor\b)+[A-Za-z])+\W*", re.IGNORECASE)
_ANOTHER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")


def label() -> str:
    """The name: it has no version beside the code's."""
    return "choice"


def at_once(gold: str, answer: str) -> tuple[str, str | None]:
    """Whether both name the same letter, in either case."""
    wanted, given = _plain(gold_answer(gold)), _plain(answer)
    if (letter := _letter(wanted)) is None:
        return "ungraded", "the gold is not one letter"
    if _SEVERAL.fullmatch(given):
        return "wrong", "the answer names several letters"
    chosen = _letter(given)
    if chosen is None:
        return "ungraded", "the answer is not one letter"
    return ("right" if chosen == letter else "wrong"), None


def in_worker() -> Callable[[str, str], tuple[str, str | None]]:
    """The same: no text is too hard."""
    return at_once


def mutants(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Another letter, two letters, an option's text without its letter."""
    letter = _letter(_plain(gold_answer(gold)))
    if letter is None:
        return
    other = rng.choice([each for each in "abcde" if each != letter]).upper()
    yield "another letter", other
    yield "another option", rf"\textbf{{({other})}}\ 42"
    yield "two letters", f"{letter.upper()}, {other}"
    yield "two options", f"({letter.upper()}) or ({other})"
    yield "no letter", "42"


def rewritings(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """The ways in which a letter is written."""
    letter = _letter(_plain(gold_answer(gold)))
    if letter is None:
        return
    small, capital = letter, letter.upper()
    for form in (
        "{1}",
        "{0}",
        "({1})",
        "{1}.",
        r"\text{{{1}}}",
        r"\textbf{{({1})}}",
        r"\textbf{{({1})}}\ 42",
        "{1}. 42",
        "{1}) 42",
    ):
        yield form, form.format(small, capital)


def why_equal(gold: str, answer: str, rng: random.Random) -> str | None:
    """Mutants of a letter name another, several or none, always."""
    return None


def _plain(text: str) -> str:
    return _COMMAND.sub(" ", unicodedata.normalize("NFKC", text)).strip()


def _letter(text: str) -> str | None:
    if match := _ALONE.fullmatch(text):
        return match[1].lower()
    match = _LABELLED.fullmatch(text)
    # An option whose text holds a letter by itself may name another option.
    if match is None or _ANOTHER.search(match[4]):
        return None
    return next(filter(None, match.groups()[:3])).lower()
