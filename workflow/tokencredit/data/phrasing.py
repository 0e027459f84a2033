"""How solutions begin, go on and end: stylistic forks, where any of several words will do. Both embedded tasks use these phrases."""

from __future__ import annotations

import random
from collections.abc import Sequence

OPENINGS = ("Okay", "Right", "Sure", "Well", "Hmm", "Good", "Fine", "Yes")
PAUSES = (".", "!", ",")
CONNECTIVES = (" Then", " Next", " Now", " Here", " And")
CLOSINGS = (" So the answer is", " The answer is", " Answer:", " Result:", " In total", " Altogether")
BOXED = " \\boxed{{ {n}}}"

STYLE, STRATEGY, RESULT, ANSWER = "style fork", "strategy fork", "result", "answer"
COPY, ROUTINE = "copied number", "routine"
_DECISIONS = {
    **dict.fromkeys(OPENINGS, "opening"),
    **dict.fromkeys(PAUSES, "pause"),
    **dict.fromkeys(CONNECTIVES, "go on"),
    **dict.fromkeys((f" {words.split()[0].rstrip(':')}" for words in CLOSINGS), "answer"),
}
_BEFORE_ANSWER = BOXED.split("{{")[0].lstrip() + "{"


def opening(rng: random.Random) -> str:
    return rng.choice(OPENINGS) + rng.choice(PAUSES)


def closing(answer: int | str, rng: random.Random) -> str:
    return rng.choice(CLOSINGS) + BOXED.format(n=answer)


def decision(token: str) -> str:
    """What a token of a solution decides: the words of one kind, of which any will do, decide the same; any other token decides itself."""
    return _DECISIONS.get(token, token)


def phrases() -> list[str]:
    """Texts that hold every word and sign of these."""
    return [
        *(word + pause for word in OPENINGS for pause in PAUSES),
        *CONNECTIVES,
        *(words + BOXED.format(n=0) for words in CLOSINGS),
    ]


def kinds(tokens: Sequence[str]) -> list[str]:
    """The kind of each token of a solution: an opening, the way of working, a colon, then steps that end with a dot, and the answer.

    style fork: the opening, the pause after it, and the first word of what follows the way of working, where any of some will do. strategy
    fork: the way of working, and the word after each finished step, which goes on or leaves for the answer. result: the number after "=" or
    "makes". answer: the number in the box, copied after the last step and guessed after a shortcut or an early exit. copied number: any
    other number. routine: all else. The kind is of the place: a token that the grammar does not have there is of that kind too.
    """
    return [_kind(place, token, tokens[place - 1] if place else "") for place, token in enumerate(tokens)]


def _kind(place: int, token: str, before: str) -> str:
    if place in (0, 1, 4):
        return STYLE
    if place == 2 or before == ".":
        return STRATEGY
    if before in (" =", " makes"):
        return RESULT
    if before.endswith(_BEFORE_ANSWER):
        return ANSWER
    return COPY if token.strip().isdecimal() else ROUTINE
