"""Sets of real numbers: intervals, finite sets, their unions, and inequalities that are solved for one name."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cmp_to_key
from typing import NamedTuple

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.equality import sign
from tokencredit.grading.mathematics.generators import ARGUMENTS, unknowns
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import Quotient, TooLargeError
from tokencredit.grading.reading.answers import Expression, Interval, Parts, Relation, Union, Value
from tokencredit.grading.reading.grammar import MINUS_ONE
from tokencredit.grading.reading.tokens import Node

Equal = Callable[[Node | Quotient, Node | Quotient], bool]
INFINITY = Node("infty", ())
MINUS_INFINITY = Node("mul", (MINUS_ONE, INFINITY))


class UndecidedError(Exception):
    """Nobody can say whether the answer is right. The message is the reason."""


class Piece(NamedTuple):
    """An interval; ends are a form, or -1 and 1 for the infinities."""

    low: Quotient | int
    high: Quotient | int
    closed_low: bool
    closed_high: bool


def region(value: Value, equal: Equal) -> tuple[str | None, list[Piece]] | None:
    """The name and the pieces of a value that is a set of real numbers, None of another."""
    if isinstance(value, Relation):
        return solved(value)
    if isinstance(value, Interval):
        return value.name, [Piece(_end(value.low), _end(value.high), value.closed_low, value.closed_high)]
    if isinstance(value, Union):
        return _joined(value.name, [region(piece, equal) for piece in value.pieces])
    if isinstance(value, Parts):
        if value.kind in ("tuple", "brackets"):
            if len(value.items) != 2 or not all(isinstance(item, Expression) for item in value.items):
                return None
            low, high = (item.node for item in value.items)
            closed = value.kind == "brackets"
            return value.name, [Piece(_end(low), _end(high), closed, closed)]
        if len(value.items) > 1 and all(isinstance(item, Relation) for item in value.items):
            return _several(value)
        return _joined(value.name, [_member(item, value.kind, equal) for item in value.items])
    return None


def _member(item: Value, kind: str, equal: Equal) -> tuple[str | None, list[Piece]] | None:
    """The region of a member of a list or a set."""
    if isinstance(item, Relation | Interval | Union) or (isinstance(item, Parts) and item.kind != "set"):
        return region(item, equal)
    if isinstance(item, Expression) and item.unit is None and kind == "set":
        end = form(item.node)
        return None, [Piece(end, end, True, True)]
    return None


def _joined(
    name: str | None, regions: list[tuple[str | None, list[Piece]] | None]
) -> tuple[str | None, list[Piece]] | None:
    """Regions in one name or without one, put together; None where two names are in them."""
    if None in regions:
        return None
    names = {name, *(each for each, _ in regions)} - {None}
    if len(names) > 1:
        return None
    return (names.pop() if names else None), [piece for _, pieces in regions for piece in pieces]


def _several(value: Parts) -> tuple[str | None, list[Piece]] | None:
    """Several inequalities: with "or" the numbers that fulfil one, else all, unless there is none."""
    found = [solved(item) for item in value.items]
    if None in found or len({name for name, _ in found}) != 1:
        return None
    pieces = found[0][1]
    for _, others in found[1:]:
        pieces = [both for one in pieces for other in others if (both := _intersection(one, other)) is not None]
    if value.alternatives or not pieces:
        pieces = [piece for _, some in found for piece in some]
    return found[0][0], pieces


def _end(node: Node) -> Quotient | int:
    if node == INFINITY:
        return 1
    return -1 if node == MINUS_INFINITY else form(node)


def equal_regions(first: list[Piece], second: list[Piece], equal: Equal) -> bool:
    """Whether two unions hold the same numbers."""
    merged = [_merged(pieces) for pieces in (first, second)]
    if None in merged:
        if len(first) == len(second) == 1:
            return _same_piece(first[0], second[0], equal)
        raise UndecidedError("the ends of the intervals cannot be put in order")
    return len(merged[0]) == len(merged[1]) and all(
        _same_piece(one, two, equal) for one, two in zip(*merged, strict=True)
    )


def _same_piece(one: Piece, two: Piece, equal: Equal) -> bool:
    if (one.closed_low, one.closed_high) != (two.closed_low, two.closed_high):
        return False
    return all(
        a == b if isinstance(a, int) or isinstance(b, int) else equal(a, b)
        for a, b in ((one.low, two.low), (one.high, two.high))
    )


def _order(a: Quotient | int, b: Quotient | int) -> int:
    """-1, 0 or 1; raises ``UndecidedError`` where nobody knows."""
    if isinstance(a, int) or isinstance(b, int):
        first, second = (end if isinstance(end, int) else 0 for end in (a, b))
        return (first > second) - (first < second)
    if poly.equal(a, b):
        return 0
    found = sign(poly.add(a, b, -1))
    if found is None:
        raise UndecidedError("the ends of the intervals cannot be put in order")
    return found


def _merged(pieces: list[Piece]) -> list[Piece] | None:
    """The pieces in order, empty ones left out and touching ones joined; None where their ends cannot be ordered."""
    try:
        filled = []
        for piece in pieces:
            order = _order(piece.low, piece.high)
            if order < 0 or (order == 0 and piece.closed_low and piece.closed_high):
                filled.append(piece)
            elif len(pieces) == 1:
                return None  # a pair like (5, 2), which is no interval
        filled.sort(key=cmp_to_key(lambda a, b: _order(a.low, b.low) or b.closed_low - a.closed_low))
        merged: list[Piece] = []
        for piece in filled:
            if merged:
                last = merged[-1]
                gap = _order(piece.low, last.high)
                if gap < 0 or (gap == 0 and (piece.closed_low or last.closed_high)):
                    further = _order(piece.high, last.high)
                    high, closed = (piece.high, piece.closed_high) if further > 0 else (last.high, last.closed_high)
                    if further == 0:
                        closed = last.closed_high or piece.closed_high
                    merged[-1] = Piece(last.low, high, last.closed_low, closed)
                    continue
            merged.append(piece)
    except UndecidedError:
        return None
    return merged


# ---------------------------------------------------------------- inequalities


def differences(relation: Relation) -> list[tuple[str, Quotient]]:
    """For each sign the larger side minus the smaller, with ">", ">=" or "!="."""
    found = []
    for left, right, sign_between in zip(relation.sides, relation.sides[1:], relation.signs, strict=False):
        if any(_end(node) in (1, -1) for node in (left, right)):
            continue
        larger, smaller = (left, right) if sign_between in (">", ">=", "!=") else (right, left)
        strict = {"<": ">", ">": ">", "<=": ">=", ">=": ">=", "!=": "!="}[sign_between]
        found.append((strict, poly.add(form(larger), form(smaller), -1)))
    return found


def solved(relation: Relation) -> tuple[str | None, list[Piece]] | None:
    """The name and the pieces that a solved inequality describes; None where it is not linear in one name, or in its size."""
    try:
        conditions = [_solved_for(sign_between, difference) for sign_between, difference in differences(relation)]
    except TooLargeError:
        return None
    if not conditions or None in conditions or len({name for name, _ in conditions}) != 1:
        return None
    pieces = conditions[0][1]
    for _, others in conditions[1:]:
        pieces = [both for one in pieces for other in others if (both := _intersection(one, other)) is not None]
    return conditions[0][0], pieces


def _solved_for(sign_between: str, difference: Quotient) -> tuple[str, list[Piece]] | None:
    if difference.below != poly.UNIT:
        return None
    linear = _linear(difference.above)
    if linear is None:
        return None
    name, factor, bound = linear
    if name.startswith("abs "):
        return _size_solved(sign_between, name, factor, bound)
    return name.removeprefix("@"), _half_lines(sign_between, factor, bound)


def _half_lines(sign_between: str, factor: Fraction, bound: Quotient) -> list[Piece]:
    if sign_between == "!=":
        return [Piece(-1, bound, False, False), Piece(bound, 1, False, False)]
    closed = sign_between == ">="
    return [Piece(bound, 1, closed, False)] if factor > 0 else [Piece(-1, bound, False, closed)]


def _linear(polynomial: poly.Polynomial) -> tuple[str, Fraction, Quotient] | None:
    """The one name, its factor and the value at which factor · name + rest is zero."""
    names = unknowns(Quotient(polynomial, poly.UNIT))
    if len(names) != 1:
        return None
    (name,) = names
    if not (name[0] == "@" or name.startswith(("of ", "abs "))):
        return None
    factor = polynomial.get(((name, 1),))
    rest = {monomial: coefficient for monomial, coefficient in polynomial.items() if monomial != ((name, 1),)}
    if factor is None or name in poly.generators(rest):
        return None
    return name, factor, Quotient(poly.times(rest, poly.constant(-1 / factor)), poly.UNIT)


def _size_solved(sign_between: str, name: str, factor: Fraction, bound: Quotient) -> tuple[str, list[Piece]] | None:
    """|a x + b| against a positive number."""
    (inner,) = ARGUMENTS[name][1]
    linear = _linear(inner.above)
    if sign(bound) != 1 or linear is None or linear[0].startswith("abs "):
        return None
    variable, slope, centre = linear
    reach = poly.multiply(bound, poly.of_fraction(1 / abs(slope)))
    low, high = poly.add(centre, reach, -1), poly.add(centre, reach)
    closed = sign_between == ">="
    if sign_between == "!=":
        pieces = [Piece(-1, low, False, False), Piece(low, high, False, False), Piece(high, 1, False, False)]
    elif factor < 0:
        pieces = [Piece(low, high, closed, closed)]
    else:
        pieces = [Piece(-1, low, False, closed), Piece(high, 1, closed, False)]
    return variable.removeprefix("@"), pieces


def _intersection(one: Piece, two: Piece) -> Piece | None:
    low_order, high_order = _order(one.low, two.low), _order(one.high, two.high)
    low, closed_low = (one.low, one.closed_low) if low_order > 0 else (two.low, two.closed_low)
    high, closed_high = (one.high, one.closed_high) if high_order < 0 else (two.high, two.closed_high)
    if low_order == 0:
        closed_low = one.closed_low and two.closed_low
    if high_order == 0:
        closed_high = one.closed_high and two.closed_high
    order = _order(low, high)
    if order > 0 or (order == 0 and not (closed_low and closed_high)):
        return None
    return Piece(low, high, closed_low, closed_high)
