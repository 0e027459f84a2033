"""Powers, roots and absolute values of normal forms, of real numbers wherever they are real."""

from __future__ import annotations

import math
from fractions import Fraction

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.generators import ARGUMENTS, MINUS_ONE, ONE, ZERO, of, unknowns
from tokencredit.grading.mathematics.polynomials import UNIT, Polynomial, Quotient, TooLargeError
from tokencredit.grading.reading.tokens import UnreadableError

LARGEST_ORDER = 5_000  # of a root


def integer_power(base: Quotient, exponent: int) -> Quotient:
    if exponent == 0 and not base.above:
        raise UnreadableError("zero to the power of zero has no value")
    if exponent < 0:
        return poly.divide(ONE, integer_power(base, -exponent))
    return Quotient(poly.power(base.above, exponent), poly.power(base.below, exponent))


def power(base: Quotient, exponent: Quotient) -> Quotient:
    rational = poly.as_fraction(exponent)
    if rational is not None:
        if rational.denominator == 1:
            return integer_power(base, int(rational))
        if rational.denominator > LARGEST_ORDER:
            raise TooLargeError("a root of too high an order")
        return integer_power(root(base, rational.denominator), rational.numerator)
    if len(exponent.below) > 1:
        return of("power", base, exponent)
    if base.below != UNIT:
        return poly.divide(power(Quotient(base.above, UNIT), exponent), power(Quotient(base.below, UNIT), exponent))
    if len(base.above) != 1:
        return of("power", base, exponent)
    ((monomial, coefficient),) = base.above.items()
    result = _rational_to(coefficient, exponent)
    for name, degree in monomial:
        if name == "i":
            result = poly.multiply(result, of("power", Quotient({((name, degree),): Fraction(1)}, UNIT), exponent))
        else:
            result = poly.multiply(result, _symbolic_power(name, degree, exponent))
    return result


def _rational_to(value: Fraction, exponent: Quotient) -> Quotient:
    """A rational number to a power that is none."""
    if value == 1:
        return ONE
    if value == 0:
        raise UnreadableError("zero to an unknown power")
    if value < 0:
        return poly.multiply(of("power", MINUS_ONE, exponent), _rational_to(-value, exponent))
    result = ONE
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            return of("power", poly.of_fraction(value), exponent)
        for prime, count in factors:
            result = poly.multiply(result, _symbolic_power(f"#{prime}", sign * count, exponent))
    return result


def _symbolic_power(name: str, degree: int | Fraction, exponent: Quotient) -> Quotient:
    """generator ** (degree · exponent), one generator for each term of the exponent."""
    ((below, scale),) = exponent.below.items()
    result = ONE
    for monomial, coefficient in exponent.above.items():
        monomial = poly._product(monomial, tuple((other, -power) for other, power in below))[0] if below else monomial
        rational = degree * coefficient / scale
        if not monomial:
            result = poly.multiply(result, generator_to(name, rational))
        elif name == "e" and monomial == (("i", 1), ("pi", 1)):
            from tokencredit.grading.mathematics.angles import cosine, sine, times_pi

            result = poly.multiply(
                result,
                poly.add(
                    cosine(times_pi(rational)),
                    poly.multiply(Quotient(poly.generator("i"), UNIT), sine(times_pi(rational))),
                ),
            )
        elif name == "e" and len(monomial) == 1 and monomial[0][0].startswith("log ") and monomial[0][1] == 1:
            result = poly.multiply(result, power(ARGUMENTS[monomial[0][0]][1][0], poly.of_fraction(rational)))
        else:
            above = Quotient({monomial: Fraction(1)}, UNIT)
            raised = f"pow {name} {poly.key(above)}"
            base = poly.of_fraction(int(name[1:])) if name[0] == "#" else Quotient(poly.generator(name), UNIT)
            ARGUMENTS.setdefault(raised, ("pow", (base, above)))
            result = poly.multiply(result, Quotient(poly.generator(raised, rational), UNIT))
    return result


def generator_to(name: str, exponent: Fraction) -> Quotient:
    if name[0] != "#":
        return Quotient(poly.generator(name, exponent), UNIT)
    whole = exponent.__floor__()
    if abs(whole) * int(name[1:]).bit_length() > poly.MOST_BITS:
        raise TooLargeError("a number of too many digits")
    rest = exponent - whole
    return Quotient(
        poly.times(poly.constant(Fraction(int(name[1:])) ** whole), poly.generator(name, rest) if rest else UNIT), UNIT
    )


def root(value: Quotient, order: int) -> Quotient:
    """The real root of an order >= 1; of negative numbers i times a root, if the order is even."""
    return value if order == 1 else poly.divide(_root_of(value.above, order), _root_of(value.below, order))


def _root_of(radicand: Polynomial, order: int) -> Quotient:
    if not radicand:
        return ZERO
    if len(radicand) == 1:
        ((monomial, coefficient),) = radicand.items()
        result = root_of_rational(coefficient, order)
        for name, degree in monomial:
            result = poly.multiply(result, _root_of_generator(name, degree, order))
        return result
    denested = _denested(radicand) if order == 2 else None
    if denested is not None:
        return denested
    if order % 2 and _is_negative(radicand):
        return poly.multiply(MINUS_ONE, _root_of(poly.times(radicand, poly.constant(-1)), order))
    scale = content(radicand)
    inner = Quotient(poly.times(radicand, poly.constant(1 / scale)), UNIT)
    return poly.multiply(root_of_rational(scale, order), of(f"root {order}", inner, relation=(order, inner.above)))


def root_of_rational(value: Fraction, order: int) -> Quotient:
    if value < 0:
        positive = root_of_rational(-value, order)
        if order % 2:
            return poly.multiply(MINUS_ONE, positive)
        if order == 2:
            return poly.multiply(Quotient(poly.generator("i"), UNIT), positive)
        return of(f"root {order}", poly.of_fraction(value), relation=(order, poly.constant(value)))
    result = ONE
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        factors = poly.factored(part)
        if factors is None:
            exact = integer_root(part, order)
            whole = (
                poly.of_fraction(exact)
                if exact
                else of(f"root {order}", poly.of_fraction(part), relation=(order, poly.constant(part)))
            )
            result = poly.multiply(result, whole) if sign > 0 else poly.divide(result, whole)
            continue
        for prime, count in factors:
            result = poly.multiply(result, generator_to(f"#{prime}", Fraction(sign * count, order)))
    return result


def integer_root(value: int, order: int) -> int | None:
    if order == 2:
        exact = math.isqrt(value)
        return exact if exact * exact == value else None
    low, high = 1, 1 << (value.bit_length() // order + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**order <= value else (low, middle - 1)
    return low if low**order == value else None


def _root_of_generator(name: str, degree: int | Fraction, order: int) -> Quotient:
    if name == "i" or (name in poly.RELATIONS and not name.startswith("abs")):
        base = {((name, degree),): Fraction(1)}
        return of(f"root {order}", Quotient(base, UNIT), relation=(order, base))
    if name[0] == "#":
        return generator_to(name, Fraction(degree) / order)
    exponent = Fraction(degree) / order
    if not is_positive(name) and order % 2 == 0 and degree % 2 == 0 and exponent % 2 != 0:
        return _integer_or_generator_power(absolute(Quotient(poly.generator(name), UNIT)), exponent)
    return Quotient(poly.generator(name, exponent), UNIT)


def _integer_or_generator_power(base: Quotient, exponent: Fraction) -> Quotient:
    if exponent.denominator == 1:
        return integer_power(base, int(exponent))
    ((monomial, _),) = base.above.items()
    return Quotient({tuple((name, degree * exponent) for name, degree in monomial): Fraction(1)}, UNIT)


def is_positive(name: str) -> bool:
    return name in ("pi", "e") or name[0] == "#" or name.startswith(("pow ", "abs "))


def content(polynomial: Polynomial) -> Fraction:
    """The positive rational number by which a polynomial has integer coefficients without a common divisor."""
    above = math.gcd(*(coefficient.numerator for coefficient in polynomial.values()))
    below = math.lcm(*(coefficient.denominator for coefficient in polynomial.values()))
    return Fraction(above, below)


def _is_negative(polynomial: Polynomial) -> bool:
    """Whether this is a negative number for certain."""
    from tokencredit.grading.mathematics.enclosures import enclosure

    value = Quotient(polynomial, UNIT)
    if unknowns(value) or "i" in poly.generators(polynomial):
        return False
    found = enclosure(value, 0)
    return found is not None and found[0] < -found[1]


def _denested(radicand: Polynomial) -> Quotient | None:
    """The root of a + b·√c as a sum of two roots, where it is one."""
    if len(radicand) != 2 or () not in radicand:
        return None
    a = radicand[()]
    surd = {monomial: coefficient for monomial, coefficient in radicand.items() if monomial}
    if any(name[0] != "#" for monomial in surd for name, _ in monomial):
        return None
    square = poly.times(surd, surd)
    if not poly.is_constant(square):
        return None
    inner = a * a - poly.value_of(square)
    if inner < 0 or a <= 0:
        return None
    above, below = integer_root(inner.numerator, 2) if inner else 0, integer_root(inner.denominator, 2)
    if above is None or below is None:
        return None
    rest = Fraction(above, below)
    (coefficient,) = surd.values()
    return poly.add(
        root_of_rational((a + rest) / 2, 2),
        root_of_rational((a - rest) / 2, 2) if a != rest else ZERO,
        1 if coefficient > 0 else -1,
    )


def absolute(value: Quotient) -> Quotient:
    """|value|."""
    if poly.generators(value.above, value.below) & {"i"}:
        raise UnreadableError("the size of a complex number is not worked out")
    return poly.divide(_absolute(value.above), _absolute(value.below))


def _absolute(polynomial: Polynomial) -> Quotient:
    if not polynomial:
        return ZERO
    if len(polynomial) == 1:
        ((monomial, coefficient),) = polynomial.items()
        result = poly.of_fraction(abs(coefficient))
        for name, degree in monomial:
            base = Quotient(poly.generator(name), UNIT)
            if is_positive(name) or degree % 2 == 0 or Fraction(degree).denominator % 2 == 0:
                result = poly.multiply(result, Quotient(poly.generator(name, degree), UNIT))
            else:
                size = of("abs", base, relation=(2, poly.generator(name, 2)))
                result = poly.multiply(result, _integer_or_generator_power(size, Fraction(degree)))
        return result
    if not unknowns(Quotient(polynomial, UNIT)):
        from tokencredit.grading.mathematics.enclosures import enclosure

        found = enclosure(Quotient(polynomial, UNIT), 0)
        if found is not None and abs(found[0]) > found[1]:
            return Quotient(polynomial if found[0] > 0 else poly.times(polynomial, poly.constant(-1)), UNIT)
    scale = content(polynomial) * (1 if polynomial[max(polynomial)] > 0 else -1)
    inner = poly.times(polynomial, poly.constant(1 / scale))
    return poly.multiply(
        poly.of_fraction(abs(scale)), of("abs", Quotient(inner, UNIT), relation=(2, poly.times(inner, inner)))
    )
