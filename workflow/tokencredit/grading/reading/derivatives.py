r"""Derivatives: ``\frac{d^2 v}{dt^2}`` and ``dy/dx`` are quantities of their own, not quotients in which d cancels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokencredit.grading.reading.tokens import GREEK, Node, Token

_DIFFERENTIALS = ("d", "partial")


def _is_differential(token: Token) -> bool:
    return token.value in _DIFFERENTIALS and token.kind in ("letter", "command") and token.font in ("", "upright")


def _exponent(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """The exponent at ``at`` as text ("1" where there is none), and the place behind it."""
    if at < len(tokens) and tokens[at].value == "^" and at + 1 < len(tokens):
        if tokens[at + 1].value == "{" and at + 3 < len(tokens) and tokens[at + 3].value == "}":
            return tokens[at + 2].value, at + 4
        return tokens[at + 1].value, at + 2
    return "1", at


def _is_name(token: Token) -> bool:
    return token.kind == "letter" or (token.kind == "command" and token.value in GREEK)


def fraction_derivative(above: Sequence[Token], below: Sequence[Token], reading: Any, depth: int) -> Node | None:
    """The derivative that a fraction of these tokens is, or None where it is a quotient."""
    from tokencredit.grading.reading.grammar import expression

    if not above or not below or not _is_differential(above[0]) or not _is_differential(below[0]):
        return None
    order, start = _exponent(above, 1)
    variables, at = [], 0
    while at < len(below):
        if not _is_differential(below[at]) or at + 1 >= len(below) or not _is_name(below[at + 1]):
            return None
        power, at_next = _exponent(below, at + 2)
        variables.append(f"{below[at + 1].value}^{power}")
        at = at_next
    operand = above[start:]
    if not operand:
        return None if order == "1" and not variables else Node("name", (f"d{order}/{' '.join(sorted(variables))}",))
    return Node("call", (f"of d{order}/{' '.join(sorted(variables))}", expression(operand, reading, depth + 1)))


def inline_derivative(tokens: Sequence[Token], at: int) -> tuple[Node, int] | None:
    """The derivative ``dy/dx`` that begins at ``at``, and the place behind it."""
    if at + 4 >= len(tokens) or tokens[at].value != "d":
        return None
    first, slash, second, variable = tokens[at + 1 : at + 5]
    if not (_is_name(first) and slash.value == "/" and second.value == "d" and _is_name(variable)):
        return None
    return Node("call", (f"of d1/{variable.value}^1", Node("name", (first.value,)))), at + 5
