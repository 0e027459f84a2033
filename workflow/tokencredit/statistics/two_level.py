"""Two methods compared over training seeds and questions at once: both are samples, and each has its own error."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from tokencredit.statistics.errors import CONFIDENCE, margin_of, margin_of_equal, seed_variance

MOST_SEEDS = 100
SMALLEST_P = 1e-9
_NOTHING = 1e-20  # the variance of equal numbers, as far as floating point tells


@dataclass(frozen=True)
class Line:
    """One line of a table on one benchmark: the share right of every training seed and question, [S, Q], from ``samples`` responses each.

    ``trained`` is false for a model that is only evaluated: there is one, and no spread over training seeds.
    """

    shares: np.ndarray
    samples: int
    trained: bool = True


@dataclass(frozen=True)
class TwoLevel:
    """A difference of two methods, in shares, with its interval and two-sided p over questions and training runs.

    ``questions``: the parts of its variance that come from questions, one per benchmark, each with its degrees of freedom;
    ``sampling``: how much of each is sampling noise. ``seeds``: the parts that come from training runs beyond sampling noise, one per
    trained method: (variance of one run, number of seeds). None where no method has two seeds: the result is about these checkpoints.
    """

    mean: float
    low: float
    high: float
    p: float
    questions: list[tuple[float, float]]
    sampling: list[float]
    seeds: list[tuple[float, int]] | None

    def detectable(self, power: float = 0.8, level: float = 0.05) -> float:
        """The smallest true difference that this comparison finds with chance ``power`` by a two-sided test at ``level``, in shares."""
        return _detectable([*self.questions, *_runs(self.seeds)], power, level)

    def samples_needed(self, power: float = 0.8, level: float = 0.05) -> float:
        """How many times the responses per question a difference as large as the observed one takes, seeds and questions as they are.

        Infinite where no number of responses is enough: the rest of the error is too large.
        """
        rest = [(max(0.0, part - noise), df) for (part, df), noise in zip(self.questions, self.sampling, strict=True)]
        noise = [(noise, df) for (_, df), noise in zip(self.questions, self.sampling, strict=True)]
        shrinking = _detectable(noise, power, level) ** 2
        room = self.mean**2 - _detectable([*rest, *_runs(self.seeds)], power, level) ** 2
        return shrinking / room if room > 0 else math.inf

    def seeds_needed(self, power: float = 0.8, level: float = 0.05) -> float:
        """How many training seeds of each method it takes, responses and questions as they are: a whole number up to ``MOST_SEEDS``.

        Infinite where more would not do either; NaN where the spread over seeds is not known.
        """
        if self.seeds is None:
            return math.nan
        now = min((seeds for _, seeds in self.seeds), default=1)

        def enough(count: int) -> bool:
            fewer_noise = zip(self.questions, self.sampling, strict=True)
            questions = [(part - noise + noise * now / count, df) for (part, df), noise in fewer_noise]
            runs = _runs([(variance, count) for variance, _ in self.seeds])
            return _detectable([*questions, *runs], power, level) <= abs(self.mean)

        counts = range(2, MOST_SEEDS + 1)
        first = bisect_left(counts, True, key=enough)  # what is enough stays enough
        return counts[first] if first < len(counts) else math.inf


def two_level_difference(own: Sequence[Line], reference: Sequence[Line], confidence: float = CONFIDENCE) -> TwoLevel:
    """Compare two methods on the same questions, in the same order, of one or several benchmarks (their unweighted mean).

    The error of a mean difference D over B benchmarks has these parts:

    - questions: var_q(D_bq) / Q_b / B^2 for each benchmark b, D_bq being the difference of the means over seeds. Sampling noise is in it,
      and it is taken to be no less than that noise, which the shares tell by themselves: equal differences are no certainty.
    - training runs: V / S for each trained method, V being the variance of its run means beyond sampling noise (``seed_variance``). Runs
      are not paired: seed 0 of one method shares nothing with seed 0 of another but its number. A method with one seed is taken to spread
      like the other one; a model that is not trained does not spread.

    These are the variance components of two crossed random factors (Searle, Casella and McCulloch 1992, chapter 4), as far as they touch a
    difference; their margins are joined by ``margin_of``, and p is the level at which the interval ends at zero. Raises ``ValueError``
    where the questions differ in number or are fewer than two.
    """
    count = len(own)
    deltas = [_paired(a, b) for a, b in zip(own, reference, strict=True)]
    mean = float(np.mean([delta.mean() for delta in deltas]))
    sampling = [
        sum(_sampling(line) / len(line.shares) for line in pair) / count**2 for pair in zip(own, reference, strict=True)
    ]
    observed = [
        max(noise, float(delta.var(ddof=1)) / delta.size / count**2)
        for noise, delta in zip(sampling, deltas, strict=True)
    ]
    questions = [
        (part if part > _NOTHING else _of_equal(delta) / count**2, delta.size - 1)
        for part, delta in zip(observed, deltas, strict=True)
    ]
    seeds = _seeds(own, reference)
    parts = [*questions, *_runs(seeds)]
    margin = margin_of(parts, (1 - confidence) / 2)
    return TwoLevel(
        mean=mean,
        low=max(-1.0, mean - margin),
        high=min(1.0, mean + margin),
        p=_p(mean, parts),
        questions=questions,
        sampling=[min(noise, part) for noise, (part, _) in zip(sampling, questions, strict=True)],
        seeds=seeds,
    )


def run_difference(own: ArrayLike, reference: ArrayLike | None = None, confidence: float = CONFIDENCE) -> TwoLevel:
    """Compare a result of training itself, one number per run, over training runs alone: [S] of each method, in the numbers' unit.

    Without ``reference`` the mean of ``own`` is held against zero (Student's t). The margins of two methods, which share no run, are joined
    by ``margin_of``. Interval and p are NaN where nothing tells of the spread: a method has one run, or all runs differ by the same.
    """
    sides = [np.asarray(side, float) for side in (own, reference) if side is not None]
    mean = float(sides[0].mean() - (sides[1].mean() if len(sides) > 1 else 0.0))
    if min(side.size for side in sides) < 2:
        return TwoLevel(mean, math.nan, math.nan, math.nan, questions=[], sampling=[], seeds=None)
    seeds = [(float(side.var(ddof=1)), side.size) for side in sides]
    if mean and all(variance <= _NOTHING for variance, _ in seeds):
        return TwoLevel(mean, math.nan, math.nan, math.nan, questions=[], sampling=[], seeds=None)
    margin = margin_of(_runs(seeds), (1 - confidence) / 2)
    return TwoLevel(mean, mean - margin, mean + margin, _p(mean, _runs(seeds)), questions=[], sampling=[], seeds=seeds)


def _paired(own: Line, reference: Line) -> np.ndarray:
    scores, other = own.shares.mean(0), reference.shares.mean(0)
    if scores.shape != other.shape or scores.size < 2:
        raise ValueError(f"two lines on the same two questions or more are needed; got {scores.size} and {other.size}.")
    return scores - other


def _of_equal(delta: np.ndarray) -> float:
    """The variance of a mean of equal differences [Q] of which no sampling noise is known: that of the interval of ``margin_of_equal``."""
    quantile = float(stats.t.isf((1 - CONFIDENCE) / 2, delta.size - 1))
    return (margin_of_equal(delta, CONFIDENCE) / quantile) ** 2


def _seeds(own: Sequence[Line], reference: Sequence[Line]) -> list[tuple[float, int]] | None:
    """(variance of one run beyond sampling noise, number of seeds) of each trained method; None where none has two seeds."""
    trained = [lines for lines in (own, reference) if lines[0].trained]
    found = []
    for lines in trained:
        means = np.mean([line.shares.mean(1) for line in lines], axis=0)
        noise = math.sqrt(sum(_sampling(line) for line in lines)) / len(lines)
        found.append((seed_variance(means, noise), len(means)))
    known = [variance for variance, _ in found if not math.isnan(variance)]
    if trained and not known:
        return None
    return [(known[0] if math.isnan(variance) else variance, seeds) for variance, seeds in found]


def _runs(seeds: list[tuple[float, int]] | None) -> list[tuple[float, float]]:
    """The parts of the variance of a difference. A method with one seed has the degrees of freedom of the one whose spread it took."""
    most = max((count for _, count in seeds or []), default=1)
    return [(variance / count, (count if count > 1 else most) - 1) for variance, count in seeds or []]


def _sampling(line: Line) -> float:
    """Sampling variance of one run's mean; zero where one response per question says nothing about it."""
    if line.samples < 2:
        return 0.0
    return float(np.mean(line.shares * (1 - line.shares)) / (line.samples - 1) / line.shares.shape[1])


def _detectable(parts: Sequence[tuple[float, float]], power: float, level: float) -> float:
    quantiles = [float(stats.t.isf(level / 2, df) + stats.t.ppf(power, df)) for _, df in parts]
    return math.sqrt(sum((quantile**2) * part for quantile, (part, _) in zip(quantiles, parts, strict=True)))


def _p(mean: float, parts: Sequence[tuple[float, float]]) -> float:
    """The two-sided level at which an interval around ``mean`` ends at zero."""
    if not math.isfinite(mean):
        raise ValueError(f"a difference must be a number to be tested; got {mean}.")
    if margin_of(parts, 0.25) == 0 or mean == 0:
        return 1.0 if mean == 0 else 0.0
    if margin_of(parts, SMALLEST_P / 2) <= abs(mean):
        return SMALLEST_P
    return float(
        np.exp(optimize.brentq(lambda x: margin_of(parts, np.exp(x) / 2) - abs(mean), np.log(SMALLEST_P), 0.0))
    )
