"""``exact``: the answer is the gold's text, but for white space around it and the way in which Unicode writes a letter (NFC)."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator

from tokencredit.grading.extract import gold_answer


def label() -> str:
    """The name: it has no version beside the code's."""
    return "exact"


def at_once(gold: str, answer: str) -> tuple[str, str | None]:
    """Equal texts are right, others wrong."""
    wanted = _normal(gold_answer(gold))
    if not wanted:
        return "ungraded", "the gold answer is empty"
    return ("right" if _normal(answer) == wanted else "wrong"), None


def in_worker() -> Callable[[str, str], tuple[str, str | None]]:
    """The same: no text is too hard."""
    return at_once


def mutants(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """One letter more, fewer, another or in another case, and two more words."""
    text = _normal(gold_answer(gold))
    place = rng.randrange(len(text)) if text else 0
    made = {
        "doubled letter": text[:place] + text[place : place + 1] * 2 + text[place + 1 :],
        "deleted letter": text[:place] + text[place + 1 :],
        "another letter": text[:place] + ("b" if text[place : place + 1] == "a" else "a") + text[place + 1 :],
        "case": text.swapcase(),
        "more words": f"{text} or not",
    }
    yield from ((kind, each) for kind, each in made.items() if _normal(each) not in ("", text) and _balanced(each))


def rewritings(gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """White space around it, and its letters taken apart into letters and accents."""
    text = _normal(gold_answer(gold))
    yield "white space", f" {text}\n"
    apart = unicodedata.normalize("NFD", text)
    if apart != text:
        yield "decomposed letters", apart


def why_equal(gold: str, answer: str, rng: random.Random) -> str | None:
    """Mutants of a text are other texts, always."""
    return None


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _balanced(text: str) -> bool:
    """Whether the text can stand in a box and be all of it."""
    return "\\" not in text and text.count("{") == text.count("}")
