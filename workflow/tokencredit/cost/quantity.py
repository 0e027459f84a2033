"""A number with its basis (given, measured or assumed), so that none is printed without it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """What a number rests on, from the firmest to the weakest."""

    GIVEN = "given"  # the configuration or the command line, and arithmetic on them
    MEASURED = "measured"  # an earlier run, or a node that was checked
    ASSUMED = "assumed"  # a default that nobody has checked for this study


@dataclass(frozen=True)
class Quantity:
    """A number with its basis. Sums and products rest on the weakest basis of their parts; a plain number does not weaken them."""

    value: float
    basis: Basis

    def __add__(self, other: Quantity | float) -> Quantity:
        return _combined(self, other, self.value + _value(other))

    def __sub__(self, other: Quantity | float) -> Quantity:
        return _combined(self, other, self.value - _value(other))

    def __mul__(self, other: Quantity | float) -> Quantity:
        return _combined(self, other, self.value * _value(other))

    def __truediv__(self, other: Quantity | float) -> Quantity:
        return _combined(self, other, self.value / _value(other))

    def rounded_up(self) -> Quantity:
        return Quantity(math.ceil(self.value), self.basis)

    __radd__ = __add__
    __rmul__ = __mul__


def given(value: float) -> Quantity:
    return Quantity(value, Basis.GIVEN)


def measured(value: float) -> Quantity:
    return Quantity(value, Basis.MEASURED)


def assumed(value: float) -> Quantity:
    return Quantity(value, Basis.ASSUMED)


def total(quantities: list[Quantity]) -> Quantity:
    """Their sum; a given 0 where there are none."""
    return sum(quantities, start=given(0))


def largest(quantities: list[Quantity]) -> Quantity:
    """The largest number, on the weakest basis of all: another might have been the largest."""
    chosen = max(quantities, key=lambda quantity: quantity.value)
    return Quantity(chosen.value, _weakest([quantity.basis for quantity in quantities]))


def smallest(quantities: list[Quantity]) -> Quantity:
    """The smallest number, on the weakest basis of all."""
    chosen = min(quantities, key=lambda quantity: quantity.value)
    return Quantity(chosen.value, _weakest([quantity.basis for quantity in quantities]))


def _combined(left: Quantity, right: Quantity | float, value: float) -> Quantity:
    bases = [side.basis for side in (left, right) if isinstance(side, Quantity)]
    return Quantity(value, _weakest(bases))


def _weakest(bases: list[Basis]) -> Basis:
    return max(bases, key=list(Basis).index)


def _value(number: Quantity | float) -> float:
    return number.value if isinstance(number, Quantity) else number
