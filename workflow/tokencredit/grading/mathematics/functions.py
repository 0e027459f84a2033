"""Functions of normal forms: logarithms, factorials, rounding, extremes, and the tables of all that have a name."""

from __future__ import annotations

import math
from fractions import Fraction

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.angles import cosine, inverse, sine, times_pi
from tokencredit.grading.mathematics.generators import ARGUMENTS, HALF, ONE, ZERO, of
from tokencredit.grading.mathematics.polynomials import UNIT, Polynomial, Quotient, TooLargeError
from tokencredit.grading.mathematics.powers import absolute, content, is_positive, power
from tokencredit.grading.reading.tokens import UnreadableError

LARGEST_FACTORIAL = 3_000
LARGEST_BINOMIAL = 10_000  # below it a coefficient has at most some 3,000 digits
MOST_SHIFT = 12  # (n + 12)! is written with n!


def logarithm(value: Quotient) -> Quotient:
    """The natural logarithm."""
    return poly.add(_logarithm(value.above), _logarithm(value.below), -1)


def _logarithm(polynomial: Polynomial) -> Quotient:
    if not polynomial:
        raise UnreadableError("the logarithm of zero has no value")
    if len(polynomial) > 1:
        scale = content(polynomial)
        inner = Quotient(poly.times(polynomial, poly.constant(1 / scale)), UNIT)
        return poly.add(_logarithm(poly.constant(scale)), of("log", inner))
    ((monomial, coefficient),) = polynomial.items()
    if coefficient < 0:
        return of("log", Quotient(polynomial, UNIT))
    total = ZERO
    for part, sign in ((coefficient.numerator, 1), (coefficient.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            total = poly.add(total, of("log", poly.of_fraction(part)), sign)
            continue
        for prime, count in factors:
            total = poly.add(total, poly.multiply(poly.of_fraction(sign * count), of("log", poly.of_fraction(prime))))
    for name, degree in monomial:
        total = poly.add(total, poly.multiply(poly.of_fraction(degree), _logarithm_of_generator(name, degree)))
    return total


def _logarithm_of_generator(name: str, degree: int | Fraction) -> Quotient:
    if name == "e":
        return ONE
    if name[0] == "#":
        return of("log", poly.of_fraction(int(name[1:])))
    base = Quotient(poly.generator(name), UNIT)
    if name.startswith("pow "):
        inner, exponent = ARGUMENTS[name][1]
        return poly.multiply(exponent, logarithm(inner))
    if name.startswith("root "):
        kind, (inner,) = ARGUMENTS[name]
        return poly.multiply(poly.of_fraction(Fraction(1, int(kind.split()[1]))), logarithm(inner))
    return of("log", absolute(base) if degree % 2 == 0 and not is_positive(name) else base)


def factorial(value: Quotient) -> Quotient:
    """n!, of sums with a small integer by the factorial of the rest."""
    rational = poly.as_fraction(value)
    if rational is not None:
        if rational.denominator != 1 or rational < 0:
            raise UnreadableError("the factorial of a number that is no natural number")
        if rational > LARGEST_FACTORIAL:
            raise TooLargeError("a factorial that is too large")
        return poly.of_fraction(math.factorial(int(rational)))
    if value.below != UNIT:
        return of("factorial", value)
    shift = value.above.get((), Fraction(0))
    if shift.denominator != 1 or abs(shift) > MOST_SHIFT:
        return of("factorial", value)
    base = Quotient(poly.plus(value.above, poly.constant(shift), -1), UNIT)
    result = of("factorial", base)
    for step in range(1, int(shift) + 1):
        result = poly.multiply(result, poly.add(base, poly.of_fraction(step)))
    for step in range(int(shift) + 1, 1):
        result = poly.divide(result, poly.add(base, poly.of_fraction(step)))
    return result


def _binomial(above: Quotient, below: Quotient) -> Quotient:
    n, k = poly.as_fraction(above), poly.as_fraction(below)
    if k is not None and k.denominator == 1 and 0 <= k <= MOST_SHIFT and n is None:
        result = ONE
        for step in range(int(k)):
            result = poly.multiply(
                result, poly.divide(poly.add(above, poly.of_fraction(-step)), poly.of_fraction(step + 1))
            )
        return result
    if n is not None and k is not None:
        if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
            raise UnreadableError("a binomial coefficient of numbers that are not natural")
        if n > LARGEST_BINOMIAL:
            raise TooLargeError("a binomial coefficient that is too large")
        return poly.of_fraction(math.comb(int(n), int(k)))
    return poly.divide(factorial(above), poly.multiply(factorial(below), factorial(poly.add(above, below, -1))))


def _rounded(name: str, value: Quotient) -> Quotient:
    rational = poly.as_fraction(value)
    if rational is not None:
        return poly.of_fraction(math.floor(rational) if name == "floor" else math.ceil(rational))
    if value.below == UNIT and () in value.above:
        shift = math.floor(value.above[()])
        if shift:
            return poly.add(_rounded(name, poly.add(value, poly.of_fraction(-shift))), poly.of_fraction(shift))
    return of(name, value)


def symmetric(name: str, arguments: list[Quotient]) -> Quotient:
    rationals = [poly.as_fraction(argument) for argument in arguments]
    if None not in rationals and name in ("max", "min"):
        return poly.of_fraction(max(rationals) if name == "max" else min(rationals))
    if None not in rationals and all(rational.denominator == 1 for rational in rationals):
        integers = [int(rational) for rational in rationals]
        return poly.of_fraction(math.gcd(*integers) if name == "gcd" else math.lcm(*integers))
    return of(name, *sorted(arguments, key=poly.key))


def _hyperbolic(value: Quotient, sign: int) -> Quotient:
    rising, falling = (
        power(Quotient(poly.generator("e"), UNIT), poly.multiply(poly.of_fraction(direction), value))
        for direction in (1, -1)
    )
    return poly.divide(poly.add(rising, falling, sign), poly.of_fraction(2))


TRIGONOMETRIC = {
    "sin": sine,
    "cos": cosine,
    "tan": lambda value: poly.divide(sine(value), cosine(value)),
    "cot": lambda value: poly.divide(cosine(value), sine(value)),
    "sec": lambda value: poly.divide(ONE, cosine(value)),
    "csc": lambda value: poly.divide(ONE, sine(value)),
}
FUNCTIONS = {
    **{name: (lambda value, name=name: inverse(name, value)) for name in ("arcsin", "arccos", "arctan")},
    "arccot": lambda value: poly.add(times_pi(HALF), inverse("arctan", value), -1),
    "sinh": lambda value: _hyperbolic(value, -1),
    "cosh": lambda value: _hyperbolic(value, 1),
    "tanh": lambda value: poly.divide(_hyperbolic(value, -1), _hyperbolic(value, 1)),
    "ln": logarithm,
    "abs": absolute,
    "degrees": lambda value: value,
    "factorial": factorial,
    "binomial": _binomial,
    "floor": lambda value: _rounded("floor", value),
    "ceil": lambda value: _rounded("ceil", value),
}
