"""A batch as nested lists, responses of tokens, and the few sums over them that the equations need.

Everything is plain Python, one token after another: it is meant to be compared with the equations by eye, and to share no line with the
package. Means and deviations come from ``statistics``, which computes them exactly: equal values have exactly their own mean and a
deviation of exactly 0.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Ragged = list[list[float]]


@dataclass(frozen=True)
class Response:
    """One response: per response the group of its prompt, its reward and group advantage; per token the lists (nats)."""

    group: int
    reward: float
    advantage: float
    entropy: list[float]
    old_logprob: list[float]
    logprob: list[float]
    ref_logprob: list[float]
    rollout_logprob: list[float]
    teacher_logprob: list[float]
    privileged_logprob: list[float]
    privileged_entropy: list[float]
    contrast_logprob: list[float]
    residual_norm: list[float]
    attention_entropy: list[float]
    hidden: list[list[float]]
    uniqueness: list[float]
    noise: list[float]
    value: list[float]
    information: list[float]
    state: list[int]
    response_step: list[int]
    kind: list[int]
    begun: list[int]

    def __len__(self) -> int:
        return len(self.entropy)


@dataclass(frozen=True)
class Batch:
    """The responses of one optimiser batch, in any order of their groups."""

    responses: list[Response]
    progress: float
    entropy_history: list[float]


@dataclass(frozen=True)
class Credit:
    """What an oracle says: one list per response with one value per token; a number where all tokens share it; None: the study's own."""

    advantage: Ragged
    keep: list[list[bool]]
    denominator: str = "all"
    clip_low: Ragged | float | None = None
    clip_high: Ragged | float | None = None
    kl_coef: Ragged | float | None = None
    ratio: str = "token"
    ratio_power: float = 0.0
    surrogate: str = "clip"
    old_kl_coef: Ragged | float = 0.0
    entropy_coef: Ragged | float = 0.0


def every_token(batch: Batch) -> list[list[bool]]:
    """No token is left out."""
    return [[True for _ in response.entropy] for response in batch.responses]


def plain(batch: Batch) -> Ragged:
    """A_it = A_i."""
    return [[response.advantage for _ in response.entropy] for response in batch.responses]


def teaches(batch: Batch, group: int) -> bool:
    """Whether any response of the group has an advantage other than 0."""
    return any(response.advantage != 0 for response in batch.responses if response.group == group)


def groups_of(batch: Batch) -> list[int]:
    return sorted({response.group for response in batch.responses})


def places(batch: Batch, group: int | None = None) -> list[tuple[int, int]]:
    """(response, token) of every token of the batch, or of a group."""
    return [
        (i, t)
        for i, response in enumerate(batch.responses)
        if group is None or response.group == group
        for t in range(len(response))
    ]


def values_at(ragged: Ragged, where: Iterable[tuple[int, int]]) -> list[float]:
    return [ragged[i][t] for i, t in where]


def entropies(batch: Batch) -> Ragged:
    return [response.entropy for response in batch.responses]


def zscore(value: float, values: Sequence[float]) -> float:
    """(value - mean) / deviation, ddof 0; 0 where all values are equal, but for the rounding of what they were computed from."""
    mean, deviation = mean_and_deviation(tuple(values))
    return 0.0 if math.isclose(min(values), max(values), rel_tol=1e-12, abs_tol=1e-12) else (value - mean) / deviation


@functools.lru_cache(maxsize=8)
def mean_and_deviation(values: tuple[float, ...]) -> tuple[float, float]:
    """Kept for the next token, which is compared with the same values."""
    return statistics.mean(values), statistics.pstdev(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie, interpolated between the two nearest."""
    ordered = sorted(values)
    place = exact(share) * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return float(Fraction(ordered[below]) + (place - below) * (Fraction(ordered[above]) - Fraction(ordered[below])))


def exact(number: float) -> Fraction:
    """The decimal number that was written, so that 0.1 times 30 is 3."""
    return Fraction(str(number))


def sign(number: float) -> float:
    return 1.0 if number > 0 else -1.0 if number < 0 else 0.0


def clip(number: float, low: float, high: float) -> float:
    return min(max(number, low), high)


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))
