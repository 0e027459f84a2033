r"""Exact arithmetic: quotients of polynomials over the rationals in generators with rational exponents.

A monomial is a sorted tuple of (generator, exponent). Generators are text; three kinds obey a relation, which multiplication applies,
so that equal values have equal polynomials:

- ``#p``, a prime: exponents lie in (0, 1), the rest goes into the coefficient. Products of such roots are linearly independent over
  the rationals (Besicovitch 1940), so sums of them are zero only if all coefficients are.
- ``i``: i² = -1.
- ``cos …``: cos² = 1 - sin². ``abs …``: |u|² = u².  ``root k …``: the k-th power is the radicand. Kept in ``RELATIONS``.

Everything is bounded by ``MOST_WORK``, ``MOST_TERMS`` and ``MOST_BITS``; what is larger raises ``TooLargeError``.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

Monomial = tuple[tuple[str, Fraction | int], ...]
Polynomial = dict[Monomial, Fraction]

MOST_WORK = 60_000  # products of terms in one judgement
MOST_TERMS = 1_500
MOST_BITS = 60_000  # of a numerator or denominator
_TRIAL = 2_000  # primes are tried up to here


class TooLargeError(Exception):
    """The value is beyond what is worked out exactly."""


class _Work:
    """How many products of terms the judgement under way has taken, counted as if nothing had been remembered."""

    done = 0


def spend(work: int) -> None:
    """Count work. Raises ``TooLargeError`` where it becomes too much."""
    _Work.done += work
    if _Work.done > MOST_WORK:
        raise TooLargeError("it takes too many steps")


def begin() -> None:
    """Start counting for a new judgement."""
    _Work.done = 0


def measured(calculate: Callable[[], Quotient]) -> tuple[Quotient, int]:
    """The result of a calculation and its work, which is not counted yet."""
    before = _Work.done
    result = calculate()
    work, _Work.done = _Work.done - before, before
    return result, work


class Quotient(NamedTuple):
    """above / below; below is never zero."""

    above: Polynomial
    below: Polynomial


# What the k-th power of a generator is: filled by the functions that make the generator.
RELATIONS: dict[str, tuple[int, Polynomial]] = {}

UNIT: Polynomial = {(): Fraction(1)}
ZERO: Polynomial = {}


def constant(value: Fraction | int) -> Polynomial:
    return {(): Fraction(value)} if value else {}


def generator(name: str, exponent: Fraction | int = 1) -> Polynomial:
    return {((name, exponent),): Fraction(1)}


def is_constant(polynomial: Polynomial) -> bool:
    return not polynomial or (len(polynomial) == 1 and () in polynomial)


def value_of(polynomial: Polynomial) -> Fraction:
    """The value of a constant polynomial."""
    return polynomial.get((), Fraction(0))


def plus(a: Polynomial, b: Polynomial, factor: int = 1) -> Polynomial:
    """a + factor · b."""
    total = dict(a)
    for monomial, coefficient in b.items():
        value = total.get(monomial, 0) + factor * coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    if len(total) > MOST_TERMS:
        raise TooLargeError("a sum of too many terms")
    return total


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    if is_constant(a):
        a, b = b, a
    if is_constant(b):
        factor = value_of(b)
        if not factor:
            return {}
        return (
            dict(a)
            if factor == 1
            else {monomial: _checked(coefficient * factor) for monomial, coefficient in a.items()}
        )
    spend(len(a) * len(b))
    total: Polynomial = {}
    for first, x in a.items():
        for second, y in b.items():
            monomial, factor, relations = _product(first, second)
            if relations is None:
                _add(total, monomial, x * y * factor)
            else:
                for extra, z in relations.items():
                    for merged, w in times({monomial: Fraction(1)}, {extra: z}).items():
                        _add(total, merged, x * y * factor * w)
    if len(total) > MOST_TERMS:
        raise TooLargeError("a product of too many terms")
    return total


def _add(total: Polynomial, monomial: Monomial, value: Fraction) -> None:
    value = total.get(monomial, 0) + value
    if value:
        total[monomial] = _checked(value)
    else:
        total.pop(monomial, None)


def _checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MOST_BITS or value.denominator.bit_length() > MOST_BITS:
        raise TooLargeError("a number of too many digits")
    return value


@lru_cache(maxsize=16384)
def _product(a: Monomial, b: Monomial) -> tuple[Monomial, Fraction, Polynomial | None]:
    """The product of two monomials: what is left as a monomial, a factor, and a polynomial to multiply by, if a relation applied."""
    exponents = dict(a)
    for name, exponent in b:
        exponents[name] = exponents.get(name, 0) + exponent
    factor, relations = Fraction(1), None
    for name in list(exponents):
        exponent = exponents[name]
        if not exponent:
            del exponents[name]
        elif name[0] == "#":
            whole = exponent.__floor__()
            if whole:
                factor *= Fraction(int(name[1:])) ** whole
                _set(exponents, name, exponent - whole)
        elif name == "i":
            if exponent % 4 in (2, 3):
                factor = -factor
            _set(exponents, name, exponent % 2)
        elif name in RELATIONS and exponent >= (degree := RELATIONS[name][0]):
            count = exponent // degree
            _set(exponents, name, exponent - count * degree)
            relation = power(RELATIONS[name][1], int(count))
            relations = relation if relations is None else times(relations, relation)
    return tuple(sorted(exponents.items())), factor, relations


def _set(exponents: dict[str, Fraction | int], name: str, exponent: Fraction | int) -> None:
    if exponent:
        exponents[name] = exponent
    else:
        del exponents[name]


def power(base: Polynomial, exponent: int) -> Polynomial:
    """base ** exponent for exponent >= 0, by squaring."""
    if len(base) == 1 and is_constant(base):
        value = value_of(base)
        if exponent * max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS and abs(value) != 1:
            raise TooLargeError("a number of too many digits")
        return constant(value**exponent)
    if exponent > 10_000 or (len(base) > 1 and exponent > 200):
        raise TooLargeError("a power that is too high")
    result = UNIT
    while exponent:
        if exponent & 1:
            result = times(result, base)
        exponent >>= 1
        if exponent:
            base = times(base, base)
    return result


def of_fraction(value: Fraction | int) -> Quotient:
    return Quotient(constant(value), UNIT)


def add(a: Quotient, b: Quotient, factor: int = 1) -> Quotient:
    """a + factor · b."""
    if a.below == b.below:
        return Quotient(plus(a.above, b.above, factor), a.below)
    return Quotient(plus(times(a.above, b.below), times(b.above, a.below), factor), times(a.below, b.below))


def multiply(a: Quotient, b: Quotient) -> Quotient:
    return Quotient(times(a.above, b.above), times(a.below, b.below))


def divide(a: Quotient, b: Quotient) -> Quotient:
    """a / b. Raises ``ZeroDivisionError``."""
    if not b.above:
        raise ZeroDivisionError
    return normalized(Quotient(times(a.above, b.below), times(a.below, b.above)))


def normalized(quotient: Quotient) -> Quotient:
    """With a denominator of one monomial moved into the numerator, where that takes no relation."""
    above, below = quotient
    if len(below) == 1:
        ((monomial, coefficient),) = below.items()
        if not monomial and coefficient == 1:
            return quotient
        if all(name not in RELATIONS for name, _ in monomial):
            inverse: Polynomial = {tuple((name, -exponent) for name, exponent in monomial): 1 / coefficient}
            return Quotient(times(above, times(inverse, UNIT) if not monomial else _settled(inverse)), UNIT)
    return quotient


def _settled(polynomial: Polynomial) -> Polynomial:
    """Monomials with negative exponents of primes and i brought into their range."""
    total: Polynomial = {}
    for monomial, coefficient in polynomial.items():
        reduced, factor, _ = _product(monomial, ())
        _add(total, reduced, coefficient * factor)
    return total


def equal(a: Quotient, b: Quotient) -> bool:
    """Whether the two are the same quotient of polynomials."""
    if a.below == b.below:
        return a.above == b.above
    return not difference(a, b)


def difference(a: Quotient, b: Quotient) -> Polynomial:
    """The numerator of a - b."""
    return plus(times(a.above, b.below), times(b.above, a.below), -1)


def as_fraction(quotient: Quotient) -> Fraction | None:
    """The value of a rational number, None for everything else."""
    if is_constant(quotient.above) and is_constant(quotient.below):
        return value_of(quotient.above) / value_of(quotient.below)
    return None


def generators(*polynomials: Polynomial) -> set[str]:
    return {name for polynomial in polynomials for monomial in polynomial for name, _ in monomial}


def key(quotient: Quotient) -> str:
    """A text that equal quotients share where their denominators are one (others may differ in it though they are equal)."""
    above, below = quotient
    scale = Fraction(1)
    if below:
        scale = below[min(below)]
    return f"{_key(above, scale)}/{_key(below, scale)}" if below != UNIT else _key(above, Fraction(1))


def _key(polynomial: Polynomial, scale: Fraction) -> str:
    return (
        "+".join(
            f"{coefficient / scale}" + "".join(f"*{name}^{exponent}" for name, exponent in monomial)
            for monomial, coefficient in sorted(polynomial.items())
        )
        or "0"
    )


@lru_cache(maxsize=4096)
def factored(value: int) -> tuple[tuple[int, int], ...] | None:
    """The prime factors of a positive integer with their exponents; None where a cofactor is too large to know."""
    factors: list[tuple[int, int]] = []
    prime = 2
    while prime <= _TRIAL and prime * prime <= value:
        count = 0
        while value % prime == 0:
            value //= prime
            count += 1
        if count:
            factors.append((prime, count))
        prime += 1 if prime == 2 else 2
    if value > 1:
        if value > _TRIAL**2:
            return None
        factors.append((value, 1))
    return tuple(factors)
