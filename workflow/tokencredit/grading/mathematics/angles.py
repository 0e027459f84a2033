"""Sines, cosines and their inverses: exact at the multiples of 15 and 18 degrees that square roots express, else generators."""

from __future__ import annotations

from fractions import Fraction

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.generators import HALF, MINUS_ONE, of
from tokencredit.grading.mathematics.polynomials import UNIT, Polynomial, Quotient
from tokencredit.grading.mathematics.powers import root_of_rational

_PI: poly.Monomial = (("pi", 1),)


def times_pi(rational: Fraction) -> Quotient:
    return Quotient(poly.times(poly.constant(rational), poly.generator("pi")), UNIT)


def sine(value: Quotient) -> Quotient:
    return _shifted_sine(value, Fraction(0))


def cosine(value: Quotient) -> Quotient:
    return _shifted_sine(value, HALF)


def _shifted_sine(value: Quotient, shift: Fraction) -> Quotient:
    """sin(value + shift · π), where shift is a multiple of 1/2."""
    if value.below != UNIT:
        if not value.above or value.above[max(value.above)] > 0:
            return _named_sine(value, shift)
        return _named_sine(Quotient(poly.times(value.above, poly.constant(-1)), value.below), shift, negative=True)
    turns = value.above.get(_PI, Fraction(0)) + shift
    rest = {monomial: coefficient for monomial, coefficient in value.above.items() if monomial != _PI}
    if not rest:
        return _sine_of_turns(turns)
    quarters = (turns * 2).__floor__()
    left = turns - Fraction(quarters, 2)
    if left:  # keep a part of pi that is no multiple of a right angle
        rest[_PI] = left
    negative = rest[max(rest)] < 0
    if negative:
        rest = {monomial: -coefficient for monomial, coefficient in rest.items()}
    kind = quarters % 4
    result = _named_sine(Quotient(rest, UNIT), HALF if kind % 2 else Fraction(0), negative)
    return poly.multiply(MINUS_ONE, result) if kind >= 2 else result


def _named_sine(value: Quotient, shift: Fraction, negative: bool = False) -> Quotient:
    """The generator of sin or, with the shift 1/2, of cos, of the value or its negative."""
    sine = of("sin", value)
    if shift:
        ((square, _),) = poly.times(sine.above, sine.above).items()
        return of("cos", value, relation=(2, {(): Fraction(1), square: Fraction(-1)}))
    return poly.multiply(MINUS_ONE, sine) if negative else sine


def _surd(*terms: tuple[int, int]) -> Polynomial:
    total: Polynomial = {}
    for coefficient, radicand in terms:
        total = poly.plus(total, poly.times(poly.constant(coefficient), root_of_rational(Fraction(radicand), 2).above))
    return total


# sin of these parts of pi, as four times the value.
_SINES = {
    **{Fraction(0): _surd(), Fraction(1, 12): _surd((1, 6), (-1, 2)), Fraction(1, 10): _surd((1, 5), (-1, 1))},
    **{Fraction(1, 6): _surd((2, 1)), Fraction(1, 4): _surd((2, 2)), Fraction(3, 10): _surd((1, 5), (1, 1))},
    **{Fraction(1, 3): _surd((2, 3)), Fraction(5, 12): _surd((1, 6), (1, 2)), HALF: _surd((4, 1))},
}


def _sine_of_turns(turns: Fraction) -> Quotient:
    turns %= 2
    sign = 1
    if turns > 1:
        turns, sign = turns - 1, -1
    turns = min(turns, 1 - turns)
    if turns in _SINES:
        return Quotient(poly.times(_SINES[turns], poly.constant(Fraction(sign, 4))), UNIT)
    return poly.multiply(poly.of_fraction(sign), of("sin", times_pi(turns)))


def inverse(name: str, value: Quotient) -> Quotient:
    """arcsin, arccos and arctan: exact at the values above, else generators of arcsin and arctan."""
    if name == "arccos":
        return poly.add(times_pi(HALF), inverse("arcsin", value), -1)
    for turns, four_sines in _SINES.items():
        angle = Quotient(poly.times(four_sines, poly.constant(Fraction(1, 4))), UNIT)
        if name == "arctan":
            if turns == HALF:
                continue
            angle = poly.divide(angle, _sine_of_turns(turns + HALF))
        for sign in (1, -1):
            if poly.equal(value, poly.multiply(poly.of_fraction(sign), angle)):
                return times_pi(sign * turns)
    if value.above and value.above[max(value.above)] < 0:
        return poly.multiply(MINUS_ONE, of(name, poly.multiply(MINUS_ONE, value)))
    return of(name, value)
