"""Brackets among tokens: what stands outside all of them, and the pieces between separators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokencredit.grading.reading.tokens import Token, UnreadableError

Tokens = Sequence[Token]

OPENING, CLOSING = ("(", "[", "{", r"\{"), (")", "]", "}", r"\}")


def top(tokens: Tokens) -> list[Token]:
    """The tokens outside all brackets. Raises ``UnreadableError`` where a bracket closes that none opened."""
    found, depth = [], 0
    for token in tokens:
        if (token.kind == "sign" and token.value in OPENING) or (token.kind == "command" and token.value == "begin"):
            depth += 1
        elif (token.kind == "sign" and token.value in CLOSING) or (token.kind == "command" and token.value == "end"):
            depth -= 1
            if depth < 0:
                raise UnreadableError("a bracket closes that was not opened")
        elif not depth:
            found.append(token)
    if depth:
        raise UnreadableError("a bracket is not closed")
    return found


def split(tokens: Tokens, separates: Callable[[Token], bool]) -> list[Tokens]:
    """The pieces between the tokens that separate, outside all brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if (token.kind == "sign" and token.value in OPENING) or (token.kind == "command" and token.value == "begin"):
            depth += 1
        elif (token.kind == "sign" and token.value in CLOSING) or (token.kind == "command" and token.value == "end"):
            depth -= 1
        if depth == 0 and separates(token) and token.value not in CLOSING:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def partner(tokens: Tokens) -> int:
    """Where the first bracket closes."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind == "sign":
            depth += (token.value in OPENING) - (token.value in CLOSING)
            if depth == 0:
                return place
    return -1
