"""Numbers and quantities: decimals against exact numbers, percent signs, units, constants of integration."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.enclosures import enclosure
from tokencredit.grading.mathematics.generators import unknowns
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import Polynomial, Quotient
from tokencredit.grading.reading.answers import Expression, Value
from tokencredit.grading.reading.tokens import Node
from tokencredit.grading.regions import UndecidedError

FEWEST_DIGITS = 6  # significant digits with which a decimal stands for a number that it only approaches
_TRUSTED = 1e-11  # relative; finer decimals are beyond floating point

Equal = Callable[[Node | Quotient, Node | Quotient], bool]
_INFINITY = Node("infty", ())
_CONSTANTS = {"e": Node("e", ()), "i": Node("imaginary", ())}
_SYMBOL = re.compile(r"([A-Za-z]{1,4})\^1")


class Decimal(NamedTuple):
    """A decimal as it is written: its value, what its last digit counts, and how many digits are significant."""

    value: Fraction
    unit: Fraction
    digits: int


def same_quantity(gold: Expression, answer: Expression, equal: Equal) -> bool:
    """Whether two quantities are equal: by their numbers, units and percent signs."""
    if gold.percent != answer.percent:
        return _one_percent(gold, answer, equal)
    if _unit_spelt_out(gold, answer, equal) or _unit_spelt_out(answer, gold, equal):
        raise UndecidedError("the letters behind a number may be a unit or a product")
    if gold.unit is not None and answer.unit is not None and gold.unit.name != answer.unit.name:
        return _different_units(gold, answer, equal)
    if gold.unit is not None and gold.unit.dimension == "angle^1" and answer.unit is None and _has_pi(answer.node):
        return equal(
            Node("div", (Node("mul", (gold.node, Node("pi", ()))), Node("number", (Fraction(180), None)))), answer.node
        )
    if answer.unit is not None and answer.unit.dimension == "angle^1" and gold.unit is None and _has_pi(gold.node):
        return equal(
            gold.node, Node("div", (Node("mul", (answer.node, Node("pi", ()))), Node("number", (Fraction(180), None))))
        )
    return same_number(gold.node, answer.node, equal)


def _unit_spelt_out(quantity: Expression, product: Expression, equal: Equal) -> bool:
    """Whether ``product`` is the number of ``quantity`` times the letters of its unit: ``5cm`` beside ``5 cm``."""
    if quantity.unit is None or product.unit is not None:
        return False
    symbol = _SYMBOL.fullmatch(quantity.unit.name)
    if symbol is None:
        return False
    letters = (_CONSTANTS.get(letter, Node("name", (letter,))) for letter in symbol[1])
    return equal(Node("mul", (quantity.node, *letters)), product.node)


def _has_pi(node: Node) -> bool:
    return _infinite(node) == 0 and "pi" in poly.generators(*form(node))


def _one_percent(gold: Expression, answer: Expression, equal: Equal) -> bool:
    """10 % is 1/10; and 10 where the other side leaves out the sign."""
    if gold.unit is not None or answer.unit is not None:
        return False
    percent, bare = (gold, answer) if gold.percent else (answer, gold)
    hundredth = Node("div", (percent.node, Node("number", (Fraction(100), None))))
    decimal = decimal_of(percent.node)
    if decimal is not None:
        hundredth = Node("number", (decimal.value / 100, None))
    if same_number(hundredth, bare.node, equal):
        return True
    if not same_number(percent.node, bare.node, equal):
        return False
    value = poly.as_fraction(form(percent.node))
    if value is not None and abs(value) < 1:
        raise UndecidedError("a percent sign that is there on one side only may count or not")
    return True


def _different_units(gold: Expression, answer: Expression, equal: Equal) -> bool:
    one, two = gold.unit, answer.unit
    if one.dimension is not None and two.dimension is not None:
        if one.dimension != two.dimension:
            return False
        factors = [Node("number", (unit.size, None)) for unit in (one, two)]
        return equal(Node("mul", (gold.node, factors[0])), Node("mul", (answer.node, factors[1])))
    raise UndecidedError("the two have different units")


def same_number(gold: Node, answer: Node, equal: Equal) -> bool:
    """Whether two numbers or expressions are equal, a decimal to an exact number by its digits."""
    infinite = [_infinite(node) for node in (gold, answer)]
    if any(infinite):
        return infinite[0] == infinite[1]
    decimals = [decimal_of(node) for node in (gold, answer)]
    if (decimals[0] is None) != (decimals[1] is None):
        decimal, exact = (decimals[0], answer) if decimals[1] is None else (decimals[1], gold)
        return _rounds_to(form(exact), decimal)
    if equal(gold, answer):
        return True
    renamed = _constant_renamed(gold, answer)
    return renamed is not None and equal(gold, renamed)


def _infinite(node: Node) -> int:
    if node == _INFINITY:
        return 1
    if node.op == "mul" and len(node.args) == 2 and node.args[1] == _INFINITY and node.args[0].op == "number":
        return 1 if node.args[0].args[0] > 0 else -1
    return 0


def decimal_of(node: Node) -> Decimal | None:
    """The decimal that a node is, as it is written: with a sign or a power of ten perhaps."""
    if node.op == "number" and node.args[1] is not None:
        whole, _, fraction = node.args[1].partition(".")
        return Decimal(node.args[0], Fraction(1, 10 ** len(fraction)), len((whole + fraction).lstrip("0")))
    if node.op == "mul" and len(node.args) == 2:
        first, second = node.args
        decimal = decimal_of(second)
        if decimal is not None and first.op == "number" and first.args[0] == -1:
            return Decimal(-decimal.value, decimal.unit, decimal.digits)
        decimal = decimal_of(first)
        if (
            decimal is not None
            and second.op == "pow"
            and second.args[0].op == "number"
            and second.args[0].args[0] == 10
        ):
            factor = poly.as_fraction(form(second))
            if factor is not None:
                return Decimal(decimal.value * factor, decimal.unit * factor, decimal.digits)
    return None


def _rounds_to(exact: Quotient, decimal: Decimal) -> bool:
    """Whether a decimal is the exact number, or the number rounded or cut after at least ``FEWEST_DIGITS`` digits."""
    value = poly.as_fraction(exact)
    if value is not None:
        if value == decimal.value:
            return True
        if decimal.digits < FEWEST_DIGITS or not _recurring(value):
            return False
        error = Fraction(0)
    else:
        if "i" in poly.generators(*exact) or unknowns(exact):
            return False
        found = enclosure(exact, 0)
        if found is None:
            raise UndecidedError("the decimal and the exact number cannot be compared")
        value, error = Fraction(found[0]), Fraction(found[1])
        if decimal.digits < FEWEST_DIGITS or abs(value - decimal.value) > decimal.unit + error:
            return False
        if error > decimal.unit / 8:
            raise UndecidedError("the decimal has more digits than the comparison")
    difference = (value - decimal.value) * (1 if value >= 0 else -1)
    return -decimal.unit / 2 - error <= difference <= decimal.unit / 2 + error or 0 <= difference < decimal.unit


def _recurring(value: Fraction) -> bool:
    below = value.denominator
    for prime in (2, 5):
        while below % prime == 0:
            below //= prime
    return below > 1


def plain_integer(value: Value) -> int | None:
    """The integer that an expression is, written in digits."""
    if (
        isinstance(value, Expression)
        and value.node.op == "number"
        and value.node.args[0].denominator == 1
        and value.node.args[1] is None
    ):
        return int(value.node.args[0])
    return None


def _constant_renamed(gold: Node, answer: Node) -> Node | None:
    """The answer with the constant of integration, C or c, spelt as the gold does; None where either has none or both."""
    if gold.op != "add" or answer.op != "add":
        return None
    big, small = Node("name", ("C",)), Node("name", ("c",))
    for ours, theirs in ((big, small), (small, big)):
        if ours in gold.args and theirs in answer.args and not occurs(theirs, gold) and not occurs(ours, answer):
            rests = [tuple(term for term in node.args if term not in (ours, theirs)) for node in (gold, answer)]
            if any(occurs(name, term) for name in (ours, theirs) for rest in rests for term in rest):
                return None
            return Node("add", tuple(ours if term == theirs else term for term in answer.args))
    return None


def occurs(name: Node, node: Node) -> bool:
    """Whether a name is part of a node."""
    return node == name or any(isinstance(part, Node) and occurs(name, part) for part in node.args)


def constant_quotient(one: Quotient, two: Quotient) -> Quotient | None:
    """The quotient of the terms in which two polynomials are largest, if it is a number that is a product of roots and pi."""
    symbols = unknowns(one) | unknowns(two)
    if one.below != poly.UNIT or two.below != poly.UNIT:
        return None
    tops = [_leading(each.above, symbols) for each in (one, two)]
    if tops[0] is None or tops[1] is None or tops[0][0] != tops[1][0]:
        return None
    (_, first), (_, second) = tops
    return Quotient(first, second)


def _leading(polynomial: Polynomial, symbols: set[str]) -> tuple[poly.Monomial, Polynomial] | None:
    """The largest monomial in the symbols, with the number before it."""
    groups: dict[poly.Monomial, Polynomial] = {}
    for monomial, coefficient in polynomial.items():
        outer = tuple(factor for factor in monomial if factor[0] in symbols)
        inner = tuple(factor for factor in monomial if factor[0] not in symbols)
        groups.setdefault(outer, {})[inner] = coefficient
    if not groups:
        return None
    top = max(groups)
    return top, groups[top]
