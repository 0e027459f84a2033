"""What a token of a worked solution of the embedded task does, told from its place in the solution."""

from __future__ import annotations

from collections.abc import Sequence

from tokencredit.data import embedded

STYLE, STRATEGY, RESULT, ANSWER, COPY, ROUTINE = KINDS = (
    "style fork",
    "strategy fork",
    "result",
    "answer",
    "copied number",
    "routine",
)
_BEFORE_ANSWER = embedded.BOXED.split("{{")[0] + "{"


def token_kinds(tokens: Sequence[str]) -> list[str]:
    """The kind of each token of a solution, one of ``KINDS``. ``tokens``: those of the whole response, in order, spaces included.

    style fork: the opening, the pause after it, and the first word of what follows the way of working, where any of some will do. strategy
    fork: the way of working, and the word after each finished step, which goes on or leaves for the answer. result: the number after "=".
    answer: the number in the box, copied after the last step and guessed after a shortcut or an early exit. copied number: any other
    number. routine: all else. The kind is of the place: a token that the grammar does not have there is of that kind too.
    """
    return [_kind(place, token, tokens[place - 1] if place else "") for place, token in enumerate(tokens)]


def _kind(place: int, token: str, before: str) -> str:
    if place in (0, 1, 4):
        return STYLE
    if place == 2 or before == ".":
        return STRATEGY
    if before == " =":
        return RESULT
    if before.endswith(_BEFORE_ANSWER.lstrip()):
        return ANSWER
    return COPY if token.strip().isdecimal() else ROUTINE
