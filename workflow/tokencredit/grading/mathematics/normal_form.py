r"""Mathematics in normal form: a ``Node`` as a quotient of polynomials (``polynomials.py``).

Two values with the same form are equal wherever both are real numbers. Two that differ are different for certain if none of their
generators is *open*, that is, may hide a relation with another one (sin 2x and sin x, nested roots, logarithms of sums).

Names stand for real numbers; where roots are split, for those at which both sides are real, so that √(5/n) is √5/√n, and √x² is |x|.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from tokencredit.grading.mathematics import generators
from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.functions import FUNCTIONS, TRIGONOMETRIC, factorial, symmetric
from tokencredit.grading.mathematics.generators import ONE, of
from tokencredit.grading.mathematics.polynomials import UNIT, Quotient, TooLargeError
from tokencredit.grading.mathematics.powers import LARGEST_ORDER, absolute, integer_power, power, root
from tokencredit.grading.reading.tokens import Node, UnreadableError

_REMEMBERED = 20_000


def forget() -> None:
    """Drop what is remembered of generators, if it has become much. Not to be called while a comparison is under way."""
    if len(generators.ARGUMENTS) > _REMEMBERED:
        generators.ARGUMENTS.clear()
        poly.RELATIONS.clear()
        _worked_out.cache_clear()
        generators.is_unknown.cache_clear()
        poly._product.cache_clear()


def form(node: Node) -> Quotient:
    """The normal form. Raises ``UnreadableError`` where there is no value, ``TooLargeError`` where it is too much to work out."""
    value, work = _worked_out(node)
    poly.spend(work)
    return value


@lru_cache(maxsize=16384)
def _worked_out(node: Node) -> tuple[Quotient, int]:
    try:
        return poly.measured(lambda: _form(node))
    except ZeroDivisionError:
        raise UnreadableError("it divides by zero") from None
    except OverflowError:
        raise TooLargeError("a number beyond all bounds") from None


def _form(node: Node) -> Quotient:
    op, args = node
    if op == "number":
        return poly.of_fraction(args[0])
    if op == "name":
        return Quotient(poly.generator(f"@{args[0]}"), UNIT)
    if op == "add":
        total = form(args[0])
        for term in args[1:]:
            total = poly.add(total, form(term))
        return total
    if op == "mul":
        product = form(args[0])
        for factor in args[1:]:
            product = poly.multiply(product, form(factor))
        return product
    if op == "div":
        return poly.divide(form(args[0]), form(args[1]))
    if op == "pow":
        return power(form(args[0]), form(args[1]))
    if op == "root":
        return _root_node(*args)
    if op in ("pi", "e"):
        return Quotient(poly.generator(op), UNIT)
    if op == "imaginary":
        return Quotient(poly.generator("i"), UNIT)
    if op == "call":
        return _call(args[0], args[1:])
    raise UnreadableError("infinity is no number" if op == "infty" else f"{op} is no number")


def _root_node(radicand: Node, index: Node) -> Quotient:
    order = poly.as_fraction(form(index))
    if order is None:
        return power(form(radicand), poly.divide(ONE, form(index)))
    if order.denominator != 1 or not 1 <= order <= LARGEST_ORDER:
        raise UnreadableError("a root of an order that is no positive integer")
    if order == 2 and radicand.op == "pow":
        exponent = poly.as_fraction(form(radicand.args[1]))
        if exponent is not None and exponent.denominator == 1 and exponent > 0 and exponent % 2 == 0:
            base = form(radicand.args[0])
            if not poly.generators(base.above, base.below) & {"i"}:
                return integer_power(absolute(base), int(exponent) // 2)
    return root(form(radicand), int(order))


def _call(name: str, nodes: tuple[Node, ...]) -> Quotient:
    if name in TRIGONOMETRIC:
        return TRIGONOMETRIC[name](form(_in_radians(nodes[0])))
    arguments = [form(node) for node in nodes]
    if name == "of C" and len(arguments) == 2 and all(poly.as_fraction(argument) is not None for argument in arguments):
        name = "binomial"
    if name == "of P" and len(arguments) == 2 and all(poly.as_fraction(argument) is not None for argument in arguments):
        return poly.divide(factorial(arguments[0]), factorial(poly.add(arguments[0], arguments[1], -1)))
    if name in FUNCTIONS:
        return FUNCTIONS[name](*arguments)
    if name in ("max", "min", "gcd", "lcm"):
        return symmetric(name, arguments)
    if name.startswith("of "):
        return of(name, *arguments)
    raise UnreadableError(f"the function {name} is unknown")


def _in_radians(node: Node) -> Node:
    if node.op == "call" and node.args[0] == "degrees":
        return Node("div", (Node("mul", (node.args[1], Node("pi", ()))), Node("number", (Fraction(180), None))))
    if node.op in ("number", "name"):
        return node
    return Node(node.op, tuple(_in_radians(part) if isinstance(part, Node) else part for part in node.args))
