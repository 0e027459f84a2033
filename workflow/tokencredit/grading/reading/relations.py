"""Equations, inequalities and membership: what stands between ``=``, ``<`` or ``\\in``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from tokencredit.grading.mathematics.equality import same
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import TooLargeError
from tokencredit.grading.reading import labels
from tokencredit.grading.reading.answers import (
    Equation,
    Expression,
    Interval,
    Matrix,
    Parts,
    Ratio,
    Relation,
    Text,
    Union,
    Value,
)
from tokencredit.grading.reading.brackets import Tokens, split, top
from tokencredit.grading.reading.grammar import Reading, expression
from tokencredit.grading.reading.quantities import quantity
from tokencredit.grading.reading.tokens import Node, UnreadableError

Structured = Callable[[Tokens, Reading, int], Value]

ORDER = {"<": "<", ">": ">", "le": "<=", "ge": ">=", "ne": "!="}
RELATIONS = frozenset([*ORDER, "=", "approx", "in"])


def related(tokens: Tokens, reading: Reading, depth: int, structured: Structured) -> Value:
    """The value of tokens with a relation among them. ``structured`` reads the sides that are more than expressions."""
    signs = [token.value for token in top(tokens) if token.value in RELATIONS and token.kind in ("sign", "command")]
    sides = split(tokens, lambda token: token.value in RELATIONS and token.kind in ("sign", "command"))
    if "approx" in signs:
        first = signs.index("approx")
        if not sides[0]:
            return structured(sides[1], reading, depth + 1)
        if first == 0 and labels.label(sides[0]) is not None:
            signs, sides = ["="], sides[:2]
        else:
            signs, sides = signs[:first], sides[: first + 1]
        if not signs:
            return structured(sides[0], reading, depth + 1)
    if signs == ["in"]:
        name = labels.label(sides[0])
        region = structured(sides[1], reading, depth + 1)
        if name is None or not isinstance(region, Interval | Union | Parts):
            raise UnreadableError("membership in something that is no set of numbers")
        if isinstance(region, Parts) and region.kind in ("tuple", "brackets"):
            region = interval_of(region)
        return replace(region, name=name)
    if all(sign == "=" for sign in signs):
        return _equated(sides, reading, depth, structured)
    if any(sign not in ORDER for sign in signs):
        raise UnreadableError("a chain of different relations")
    return Relation(tuple(_side(side, reading).node for side in sides), tuple(ORDER[sign] for sign in signs))


def interval_of(pair: Parts) -> Interval:
    """The interval that a pair in brackets is, where only a set can stand."""
    if len(pair.items) != 2 or not all(isinstance(item, Expression) for item in pair.items):
        raise UnreadableError("membership in something that is no set of numbers")
    closed = pair.kind == "brackets"
    return Interval(pair.items[0].node, pair.items[1].node, closed, closed)


def _equated(sides: list[Tokens], reading: Reading, depth: int, structured: Structured) -> Value:
    name = labels.label(sides[0])
    if (
        name is None
        and len(sides) == 2
        and (right := labels.label(sides[1])) is not None
        and labels.is_single(sides[1])
    ):
        name, sides = right, sides[::-1]
    if len(sides) > 2:
        ends = [_side(side, reading) for side in sides[1:]]
        if not all(_agree(one.node, two.node) for one, two in itertools.pairwise(ends)):
            raise UnreadableError("a chain of equations whose sides are not equal")
        if name is None and (_agree_tokens(sides[0], ends[0].node, reading) or labels.is_sum_of_names(sides[0])):
            return ends[-1]
        sides = [sides[0], sides[-1]]
    if name is not None:
        value = structured(sides[1], reading, depth + 1)
        left = _left(sides[0], reading)
        if isinstance(value, Expression):
            return replace(value, name=name, left=left)
        if isinstance(value, Parts | Interval | Union):
            return replace(value, name=name)
        if isinstance(value, Matrix | Ratio) or (isinstance(value, Text) and value.words):
            return value
        raise UnreadableError("a name is said to be something that is no value")
    left, right = (_side(side, reading).node for side in sides)
    if _agree(left, right) and labels.is_arithmetic(sides[0]):
        return Expression(right)
    return Equation(left, right)


def _left(side: Tokens, reading: Reading) -> Node | None:
    try:
        return expression(side, reading)
    except UnreadableError:
        return None


def _agree(left: Node, right: Node) -> bool:
    try:
        return same(form(left), form(right)) is True
    except (TooLargeError, UnreadableError):
        return False


def _agree_tokens(side: Tokens, node: Node, reading: Reading) -> bool:
    left = _left(side, reading)
    return left is not None and _agree(left, node)


def _side(tokens: Tokens, reading: Reading) -> Expression:
    value = quantity(tokens, reading)
    if reading.signs:
        raise UnreadableError("plus or minus within a relation")
    return value
