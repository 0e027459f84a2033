"""The effect of one contrast of a claim or an experiment: what was measured, and whether it is as claimed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from tokencredit.statistics import NAN, TwoLevel

SCALE = {"points": 100.0, "nats": 1.0}  # what a difference is times, in the unit of its effect


@dataclass(frozen=True)
class Effect:
    """A contrast measured. ``tested``: positive where it is higher than the value that the claim's direction is seen from.

    Of scores and speeds it is a difference in shares, ``unit`` points; of entropies a difference of logarithms, ``unit`` ratio, and
    ``border`` the ratio that it is seen from; of credit a difference in ``unit`` nats. ``contrary``: where another comparison contradicts
    the claim, that one. ``samples``: responses per question, NaN where there are none or benchmarks differ; ``k``: that of Pass@k;
    ``files``: below the study's folder; ``printed``: the paper's own differences, in points, by where it prints them; ``untestable``: why
    the records cannot decide the contrast, however the numbers come out, or nothing; ``direction``, ``margin``: what is claimed, in shares.
    """

    tested: TwoLevel
    unit: str
    test: str
    seeds: list[int]
    files: list[str]
    questions: float = NAN
    samples: float = NAN
    border: float = 1.0
    contrary: TwoLevel | None = None
    k: float = NAN
    printed: dict[str, float] = field(default_factory=dict)
    untestable: str = ""
    direction: Literal["higher", "lower", "equal"] = "higher"
    margin: float = 0.0

    @property
    def as_claimed(self) -> bool:
        """Whether the observed effect lies where the contrast claims it."""
        return self._claimed(self.tested)

    @property
    def p(self) -> float:
        """p of the test that supports the contrast: two-sided, or of equality by two one-sided tests."""
        return self.tested.p_within(self.margin) if self.direction == "equal" else self.tested.p

    @property
    def otherwise(self) -> bool:
        """Whether the comparison that can contradict the contrast came out against it."""
        return not self._claimed(self.contrary or self.tested)

    @property
    def p_otherwise(self) -> float:
        """Two-sided p of that comparison."""
        if self.direction == "equal":
            return self.tested.p_beyond(self.margin)
        return (self.contrary or self.tested).p

    def _claimed(self, found: TwoLevel) -> bool:
        if self.direction == "equal":
            return abs(found.mean) < self.margin
        return (found.mean > 0) == (self.direction == "higher")

    def shown(self, value: float) -> float:
        """A value of ``tested`` in the unit of the effect: points, nats, or a ratio."""
        return self.border * math.exp(value) if self.unit == "ratio" else SCALE[self.unit] * value

    def detectable(self, level: float) -> float:
        """The smallest effect away from the border that this comparison finds with 80 % power: points, nats, or a factor."""
        smallest = self.tested.detectable(level=level)
        return math.exp(smallest) if self.unit == "ratio" else SCALE[self.unit] * smallest
