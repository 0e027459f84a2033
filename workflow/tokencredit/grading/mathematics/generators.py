"""Generators: the names, constants and values of functions that polynomials are in."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.polynomials import UNIT, Polynomial, Quotient

# The kind and the arguments of each generator that is a function's value; the names of all others are their own.
ARGUMENTS: dict[str, tuple[str, tuple[Quotient, ...]]] = {}

ONE = Quotient(UNIT, UNIT)
ZERO = Quotient({}, UNIT)
MINUS_ONE = poly.of_fraction(-1)
HALF = Fraction(1, 2)


def of(kind: str, *arguments: Quotient, relation: tuple[int, Polynomial] | None = None) -> Quotient:
    """The generator that stands for a function's value at these arguments."""
    name = f"{kind} {','.join(poly.key(argument) for argument in arguments)}"
    if name not in ARGUMENTS:
        ARGUMENTS[name] = (kind, arguments)
        if relation is not None:
            poly.RELATIONS[name] = relation
    return Quotient(poly.generator(name), UNIT)


@lru_cache(maxsize=16384)
def is_unknown(name: str) -> bool:
    """Whether a generator is a name, or a function's value at names."""
    if name[0] == "@" or name.startswith("of "):
        return True
    return name in ARGUMENTS and any(unknowns(argument) for argument in ARGUMENTS[name][1])


def unknowns(value: Quotient) -> set[str]:
    """The generators without a value of their own: names, and what depends on names."""
    return {name for name in poly.generators(*value) if is_unknown(name)}
