"""Whether two pieces of mathematics are equal: by normal form, by enclosures, and, in a worker, by SymPy."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from tokencredit.grading.mathematics import polynomials as poly
from tokencredit.grading.mathematics.enclosures import enclosure
from tokencredit.grading.mathematics.generators import ARGUMENTS, unknowns
from tokencredit.grading.mathematics.polynomials import Quotient

TRIALS = 6  # points at which values are compared


def same(a: Quotient, b: Quotient) -> bool | None:
    """True or False where it is proven, None where it is not."""
    if poly.equal(a, b):
        return True
    if not is_open(poly.generators(a.above, a.below, b.above, b.below)):
        return False
    for trial in range(TRIALS):
        first, second = enclosure(a, trial), enclosure(b, trial)
        if first is not None and second is not None and abs(first[0] - second[0]) > 2 * (first[1] + second[1]):
            return False
    return None


def is_open(names: Iterable[str]) -> bool:
    """Whether a relation among these generators may be hidden, so that different polynomials in them may be equal."""
    angles: set[poly.Monomial] = set()
    logarithms = powers = 0
    imaginary = False
    for name in sorted(names):
        if name[0] in "@#" or name in ("pi", "e") or name.startswith("of "):
            continue
        if name == "i":
            imaginary = True
            continue
        kind, arguments = ARGUMENTS[name]
        if kind in ("sin", "cos"):
            (argument,) = arguments
            if argument.below != poly.UNIT or len(argument.above) != 1:
                return True
            ((monomial, coefficient),) = argument.above.items()
            if monomial in ((), (("pi", 1),)) or _has_functions(arguments):
                return True
            if any(other == monomial and factor != coefficient for other, factor in angles):
                return True
            angles.add((monomial, coefficient))
        elif kind == "log":
            (argument,) = arguments
            if len(argument.above) != 1 or argument.below != poly.UNIT or _has_functions(arguments):
                return True
            logarithms += 1
        elif kind == "pow":
            if _has_functions(arguments):
                return True
            powers += 1
        elif kind == "factorial":
            if _has_functions(arguments):
                return True
        else:
            return True
    return bool(angles) and imaginary and bool(powers)


def _has_functions(arguments: tuple[Quotient, ...]) -> bool:
    return any(
        name in ARGUMENTS and not name.startswith("of ")
        for argument in arguments
        for name in poly.generators(*argument)
    )


def sign(value: Quotient) -> int | None:
    """-1, 0 or 1 for a real number, None where it has names in it or nobody knows."""
    rational = poly.as_fraction(value)
    if rational is not None:
        return (rational > 0) - (rational < 0)
    if "i" in poly.generators(*value) or unknowns(value):
        return None
    found = enclosure(value, 0)
    if found is None or abs(found[0]) <= found[1]:
        return None
    return 1 if found[0] > 0 else -1


def ratio(a: Quotient, b: Quotient) -> Fraction | None:
    """The rational number c with a = c · b, None where there is none."""
    if not b.above or not a.above:
        return None
    left, right = poly.times(a.above, b.below), poly.times(b.above, a.below)
    if not left or left.keys() != right.keys():
        return None
    first = next(iter(left))
    factor = left[first] / right[first]
    return factor if all(left[monomial] == factor * right[monomial] for monomial in left) else None
