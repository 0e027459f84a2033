"""Values in floating point with a bound of their error: a proof that two numbers differ, never one that they are equal."""

from __future__ import annotations

import math
import zlib

from tokencredit.grading.mathematics.generators import ARGUMENTS
from tokencredit.grading.mathematics.polynomials import Polynomial, Quotient

Enclosure = tuple[float, float]  # a value, and how far from it the truth may lie

_ROUNDING = 1e-13
_DEEPEST = 12


def point(name: str, trial: int) -> float:
    """Where a name is tried: a number between 0.3 and 2.8 that looks random; in odd trials it may be negative."""
    chosen = zlib.crc32(f"{name} {trial}".encode())
    size = 0.3 + 2.5 * (chosen % 99_991) / 99_991
    return -size if trial % 2 and chosen & 0x10000 else size


def enclosure(value: Quotient, trial: int, depth: int = 0) -> Enclosure | None:
    """The real value with every name at its ``point``; None where there is none or it cannot be told."""
    if depth > _DEEPEST:
        return None
    try:
        above, below = _polynomial(value.above, trial, depth), _polynomial(value.below, trial, depth)
        if above is None or below is None or abs(below[0]) <= 2 * below[1]:
            return None
        quotient = above[0] / below[0]
        error = (above[1] + abs(quotient) * below[1]) / (abs(below[0]) - below[1]) + abs(quotient) * _ROUNDING
    except (OverflowError, ValueError, ZeroDivisionError):
        return None
    return (quotient, error) if math.isfinite(quotient) and math.isfinite(error) else None


def _polynomial(polynomial: Polynomial, trial: int, depth: int) -> Enclosure | None:
    total, error = 0.0, 0.0
    for monomial, coefficient in polynomial.items():
        term, relative = float(coefficient), _ROUNDING
        for name, exponent in monomial:
            found = _generator(name, trial, depth)
            if found is None:
                return None
            value, uncertain = found
            if value == 0 or (value < 0 and exponent.denominator != 1) or uncertain > abs(value) / 100:
                return None
            term *= value ** float(exponent) if exponent.denominator != 1 else value ** int(exponent)
            relative += 2 * abs(float(exponent)) * (uncertain / abs(value) + _ROUNDING)
        total += term
        error += abs(term) * relative
    return total, error


def _generator(name: str, trial: int, depth: int) -> Enclosure | None:
    if name[0] == "@":
        return point(name, trial), 0.0
    if name[0] == "#":
        return float(name[1:]), 0.0
    if name in ("pi", "e"):
        return getattr(math, name), 1e-15
    if name not in ARGUMENTS:
        return None
    kind, arguments = ARGUMENTS[name]
    if kind.startswith("of "):
        return point(name, trial), 0.0
    inner = [enclosure(argument, trial, depth + 1) for argument in arguments]
    if None in inner:
        return None
    return _function(kind, inner)


def _function(kind: str, inner: list[Enclosure]) -> Enclosure | None:
    value, error = inner[0]
    if kind in ("sin", "cos"):
        return getattr(math, kind)(value), error + 1e-15 * (1 + abs(value))
    if kind == "log":
        return (math.log(value), 2 * error / value + 1e-15) if value > 2 * error else None
    if kind == "abs":
        return abs(value), error
    if kind.startswith("root "):
        order = int(kind.split()[1])
        if value <= 2 * error:
            return None
        result = value ** (1 / order)
        return result, 2 * result * (error / value + _ROUNDING)
    if kind in ("pow", "power"):
        exponent, uncertain = inner[1]
        if value <= 2 * error:
            return None
        result = value**exponent
        return result, 2 * result * (abs(exponent) * error / value + abs(math.log(value)) * uncertain + _ROUNDING)
    if kind in ("floor", "ceil"):
        low, high = (getattr(math, kind)(value + sign * error) for sign in (-1, 1))
        return (float(low), 0.0) if low == high else None
    if kind in ("max", "min"):
        chosen = (max if kind == "max" else min)(inner)
        return chosen[0], max(error for _, error in inner)
    if kind == "arctan":
        return math.atan(value), error + 1e-15
    if kind == "arcsin" and abs(value) + error < 0.99:
        return math.asin(value), 8 * error + 1e-15
    if kind == "factorial" and 0 < value < 50:
        result = math.gamma(value + 1)
        return result, result * (4 * error + 1e-12)
    return None
