"""Whether two equations say the same."""

from __future__ import annotations

from fractions import Fraction

from tokencredit.grading import numbers
from tokencredit.grading.mathematics.equality import ratio
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import Polynomial, Quotient, add, generators, multiply, times
from tokencredit.grading.numbers import Equal
from tokencredit.grading.reading.answers import Equation, Expression, Value
from tokencredit.grading.reading.tokens import Node
from tokencredit.grading.regions import UndecidedError


def same_equation(gold: Value, answer: Value, equal: Equal) -> bool:
    """Whether two equations, of which one may be a named value, have the same solutions: one is a number times the other."""
    sides = [_sides(value) for value in (gold, answer)]
    if None in sides:
        equation, other = (gold, answer) if isinstance(gold, Equation) else (answer, gold)
        if (
            equation is answer
            and isinstance(other, Expression)
            and _is_sum_of_names(equation.left)
            and equal(equation.right, other.node)
        ):
            raise UndecidedError("one of the two is an equation for a sum and the other its value")
        return False
    one, two = (difference(*pair) for pair in sides)
    if not one.above or not two.above:
        if not one.above and not two.above:
            raise UndecidedError("an equation that always holds")
        return False
    if not generators(one.above, two.above):
        raise UndecidedError("an equation that never holds")
    if ratio(one, two) is not None:
        return True
    if _constant_factor(one, two, equal):
        return True
    if _divides_by_monomial(one, two):
        raise UndecidedError("the two equations differ by a factor that is no number")
    return False


def _constant_factor(one: Quotient, two: Quotient, equal: Equal) -> bool:
    """Whether one difference is an irrational number times the other."""
    factor = numbers.constant_quotient(one, two)
    return factor is not None and equal(one, multiply(factor, two))


def _sides(value: Value) -> tuple[Node, Node] | None:
    if isinstance(value, Equation):
        return value.left, value.right
    return (value.left, value.node) if isinstance(value, Expression) and value.left is not None else None


def difference(left: Node, right: Node) -> Quotient:
    return add(form(left), form(right), -1)


def _is_sum_of_names(node: Node) -> bool:
    return node.op == "add" and all(part.op == "name" for part in node.args)


def _divides_by_monomial(one: Quotient, two: Quotient) -> bool:
    """Whether the numerators agree up to one monomial."""
    first, second = (Quotient(_primitive(each.above), each.below) for each in (one, two))
    return first.below == second.below and ratio(first, second) is not None


def _primitive(polynomial: Polynomial) -> Polynomial:
    """The polynomial without the monomial that divides all its terms."""
    names = generators(polynomial)
    least = {name: min(dict(monomial).get(name, 0) for monomial in polynomial) for name in names}
    inverse = tuple(sorted((name, -exponent) for name, exponent in least.items() if exponent))
    return times(polynomial, {inverse: Fraction(1)})
