"""A place among tokens, and what can be seen from there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tokencredit.grading.reading.tokens import Node, Token, UnreadableError

DEEPEST = 40  # brackets, fractions and roots within each other
OPEN = {"(": ")", "[": "]", "{": "}"}
ONE, MINUS_ONE = Node("number", (Fraction(1), None)), Node("number", (Fraction(-1), None))


class Reading:
    """Which way to read what can be read in two. ``other``: the kinds that are read the second way; ``met`` fills with those met."""

    def __init__(self, other: frozenset[str] = frozenset(), sign: int = 1) -> None:
        self.other, self.sign = other, sign
        self.met: set[str] = set()
        self.signs = 0  # how many \pm

    def second(self, kind: str) -> bool:
        self.met.add(kind)
        return kind in self.other


class Cursor:
    """The tokens, the way to read them, and the place reached."""

    def __init__(self, tokens: Sequence[Token], reading: Reading, depth: int) -> None:
        self.tokens, self.reading, self.depth = tokens, reading, depth
        self.at = 0
        self.bars = 0
        if depth > DEEPEST:
            raise UnreadableError(f"it is nested more than {DEEPEST} deep")

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def sees(self, *values: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.value in values and token.kind in ("sign", "command")

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise UnreadableError("it ends too early")
        self.at += 1
        return token

    def expect(self, value: str) -> None:
        if not self.sees(value):
            raise UnreadableError(f"{value!r} is missing")
        self.at += 1

    def inside(self) -> Sequence[Token]:
        """The tokens between the bracket here and its partner; goes behind it."""
        start = self.at + 1
        stack = [OPEN[self.take().value]]
        while stack:
            token = self.take()
            if token.kind != "sign":
                continue
            if token.value in OPEN:
                stack.append(OPEN[token.value])
            elif token.value in ")]}" and token.value != stack.pop():
                raise UnreadableError("brackets do not match")
        return self.tokens[start : self.at - 1]

    def inner(self, tokens: Sequence[Token]) -> Node:
        """The node of tokens one level deeper."""
        from tokencredit.grading.reading.grammar import expression

        return expression(tokens, self.reading, self.depth + 1)
