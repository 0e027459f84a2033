"""Unions of intervals and finite sets as sets of numbers, for the audit's own decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tokencredit.grading.audit.evaluation import UnreadableError, value
from tokencredit.grading.audit.pieces import Answer


@dataclass(frozen=True)
class Interval:
    """All numbers between two real ends, each with itself or without."""

    low: Any
    high: Any
    with_low: bool
    with_high: bool

    def holds(self, number: Any) -> bool:
        above = number >= self.low if self.with_low else number > self.low
        return above and (number <= self.high if self.with_high else number < self.high)


def region(parts: Iterable[str], names: Callable[[str], Any]) -> list[Interval] | None:
    """The intervals of a union, with points for the members of its sets; None where a part is neither or its ends are no real numbers."""
    found: list[Interval] = []
    for part in parts:
        answer = Answer(part.strip())
        try:
            ends = [value(item, names) for item in answer.items]
        except UnreadableError:
            return None
        if any(end.imag for end in ends):
            return None
        if answer.kind == "set":
            found += [Interval(end, end, True, True) for end in ends]
        elif answer.kind == "sequence" and len(ends) == 2:
            found.append(Interval(*ends, answer.brackets[0] == "[", answer.brackets[1] == "]"))
        else:
            return None
    return found


def same_region(one: list[Interval], other: list[Interval]) -> bool:
    """Whether two unions hold the same numbers: at every end, between all neighbouring ends, and beyond the last."""
    ends = sorted(
        {end for interval in (*one, *other) for end in (interval.low, interval.high) if abs(end) < float("inf")}
    )
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    outside = [ends[0] - 1, ends[-1] + 1] if ends else [0]
    return all(
        any(interval.holds(number) for interval in one) == any(interval.holds(number) for interval in other)
        for number in (*ends, *between, *outside)
    )
