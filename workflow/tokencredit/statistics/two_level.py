"""Two methods compared over training seeds and questions at once: both are samples, and each has its own error."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from tokencredit.statistics.errors import CONFIDENCE, NAN, margin_of, margin_of_equal

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


class Spread(NamedTuple):
    """How far one training run, or one pair of runs, lies from others: the variance of its mean, how much of that is sampling noise, and
    how many there are."""

    variance: float
    seeds: int
    sampling: float = 0.0


@dataclass(frozen=True)
class TwoLevel:
    """A difference of two methods, in shares, with its interval and two-sided p over questions and training runs.

    ``questions``: the parts of its variance that come from questions, one per benchmark, each with its degrees of freedom;
    ``sampling``: how much of each is sampling noise. ``seeds``: the parts that come from training runs, one per trained method, or one for
    both where runs are ``paired``. None where no method has two seeds: the result is about these checkpoints.
    """

    mean: float
    low: float
    high: float
    p: float
    questions: list[tuple[float, float]]
    sampling: list[float]
    seeds: list[Spread] | None
    paired: bool = False

    def detectable(self, power: float = 0.8, level: float = 0.05) -> float:
        """The smallest true difference that this comparison finds with chance ``power`` by a two-sided test at ``level``, in shares."""
        return _detectable([*self.questions, *_runs(self.seeds)], power, level)

    def excludes(self, difference: float) -> bool:
        """Whether a true difference of so much, in shares, lies outside the interval."""
        return not self.low <= difference <= self.high

    def p_within(self, margin: float) -> float:
        """p of two one-sided tests that the true difference lies within ``margin`` of zero, both in shares (Schuirmann 1987)."""
        return max(self._p_below(margin), 1 - self._p_below(-margin))

    def p_beyond(self, margin: float) -> float:
        """Two-sided p of a true difference further from zero than ``margin``, both in shares; 1 where the observed one is not."""
        return min(1.0, 2 * min(1 - self._p_below(margin), self._p_below(-margin)))

    def _p_below(self, border: float) -> float:
        """p of the one-sided test that the true difference is less than ``border``."""
        tail = _p(self.mean - border, [*self.questions, *_runs(self.seeds)]) / 2
        return tail if self.mean < border else 1 - tail

    def samples_needed(self, power: float = 0.8, level: float = 0.05) -> float:
        """How many times the responses per question a difference as large as the observed one takes, seeds and questions as they are.

        Infinite where no number of responses is enough: the rest of the error is too large.
        """
        rest = [(max(0.0, part - noise), df) for (part, df), noise in zip(self.questions, self.sampling, strict=True)]
        rest += _runs([each._replace(variance=max(0.0, each.variance - each.sampling)) for each in self.seeds or []])
        noise = [(noise, df) for (_, df), noise in zip(self.questions, self.sampling, strict=True)]
        noise += _runs([each._replace(variance=min(each.sampling, each.variance)) for each in self.seeds or []])
        shrinking = _detectable(noise, power, level) ** 2
        room = self.mean**2 - _detectable(rest, power, level) ** 2
        return shrinking / room if room > 0 else math.inf

    def seeds_needed(self, power: float = 0.8, level: float = 0.05) -> float:
        """How many training seeds of each method it takes, responses and questions as they are: a whole number up to ``MOST_SEEDS``.

        Infinite where more would not do either; NaN where the spread over seeds is not known.
        """
        if self.seeds is None:
            return NAN

        def enough(count: int) -> bool:
            runs = _runs([each._replace(seeds=count) for each in self.seeds or []])
            return _detectable([*self.questions, *runs], power, level) <= abs(self.mean)

        counts = range(2, MOST_SEEDS + 1)
        first = bisect_left(counts, True, key=enough)  # what is enough stays enough
        return counts[first] if first < len(counts) else math.inf


def two_level_difference(
    own: Sequence[Line], reference: Sequence[Line], confidence: float = CONFIDENCE, *, paired: bool = False
) -> TwoLevel:
    """Compare two methods on the same questions, in the same order, of one or several benchmarks (their unweighted mean).

    ``paired``: seed s of one method and seed s of the other drew the same problems with the same random numbers, so the two have luck in
    common, and the difference of a pair is what varies. Otherwise the runs of each method vary by themselves.

    With the differences D_bsq of B benchmarks, S seeds and Q_b questions, the error of their mean has these parts:

    - training runs: var_s(D_s) / S, D_s being the mean difference of a pair; of unpaired methods the same of each method's own means. It
      holds the interaction of run and question, and sampling noise, which it is taken to be no less than. A method with one seed is taken
      to spread like the other one; a model that is not trained does not spread.
    - questions: var_q(D_bq) / Q_b / B^2 for each benchmark b, D_bq being the mean over seeds, less the interaction, which the part of
      the runs holds already, and not less than zero.

    These are the variance components of two crossed random factors (Searle, Casella and McCulloch 1992, chapter 4), as far as they touch a
    difference. The interaction is taken off the questions, not off the runs: what few seeds tell of keeps a variance that is never cut at
    zero. The margins are joined by ``margin_of``, and p is the level at which the interval ends at zero. Raises ``ValueError`` where the
    questions differ in number or are fewer than two, and where runs cannot be paired.
    """
    count = len(own)
    deltas = [_paired(a, b) for a, b in zip(own, reference, strict=True)]
    mean = float(np.mean([delta.mean() for delta in deltas]))
    sources = _sources(own, reference, paired)
    seeds = _seeds(sources)
    several = [source for source in sources if source.seeds > 1]
    alone = [side for side in (own, reference) if not side[0].trained] + [
        side for source in sources if source.seeds == 1 for side in source.sides
    ]
    sampling = [sum(_sampling(side[place]) for side in alone) / count**2 for place in range(count)]
    questions = []
    for place, (delta, noise) in enumerate(zip(deltas, sampling, strict=True)):
        interaction = sum(_interaction(source.shares[place]) for source in several)
        part = (float(delta.var(ddof=1)) - interaction) / delta.size / count**2
        questions.append((max(noise, part), delta.size - 1))
    if all(part <= _NOTHING for part, _ in [*questions, *_runs(seeds)]):
        questions = [(_of_equal(delta) / count**2, delta.size - 1) for delta in deltas]
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
        paired=paired,
    )


def run_difference(
    own: ArrayLike, reference: ArrayLike | None = None, confidence: float = CONFIDENCE, *, paired: bool = False
) -> TwoLevel:
    """Compare a result of training itself, one number per run, over training runs alone: [S] of each method, in the numbers' unit.

    Without ``reference`` the mean of ``own`` is held against zero (Student's t), and so are the differences of ``paired`` runs, in the
    same order of seeds. The margins of two methods that share no luck are joined by ``margin_of``. Interval and p are NaN where nothing
    tells of the spread: a method has one run, or all runs differ by the same.
    """
    sides = [np.asarray(side, float) for side in (own, reference) if side is not None]
    if paired and len(sides) > 1:
        sides = [_pairs(*sides)]
    mean = float(sides[0].mean() - (sides[1].mean() if len(sides) > 1 else 0.0))
    if min(side.size for side in sides) < 2:
        return TwoLevel(mean, NAN, NAN, NAN, questions=[], sampling=[], seeds=None, paired=paired)
    seeds = [Spread(float(side.var(ddof=1)), side.size) for side in sides]
    if mean and all(each.variance <= _NOTHING for each in seeds):
        return TwoLevel(mean, NAN, NAN, NAN, questions=[], sampling=[], seeds=None, paired=paired)
    margin = margin_of(_runs(seeds), (1 - confidence) / 2)
    p = _p(mean, _runs(seeds))
    return TwoLevel(mean, mean - margin, mean + margin, p, questions=[], sampling=[], seeds=seeds, paired=paired)


def _paired(own: Line, reference: Line) -> np.ndarray:
    scores, other = own.shares.mean(0), reference.shares.mean(0)
    if scores.shape != other.shape or scores.size < 2:
        raise ValueError(f"two lines on the same two questions or more are needed; got {scores.size} and {other.size}.")
    return scores - other


def _of_equal(delta: np.ndarray) -> float:
    """The variance of a mean of equal differences [Q] of which no sampling noise is known: that of the interval of ``margin_of_equal``."""
    quantile = float(stats.t.isf((1 - CONFIDENCE) / 2, delta.size - 1))
    return (margin_of_equal(delta, CONFIDENCE) / quantile) ** 2


@dataclass(frozen=True)
class _Source:
    """Training runs that vary by themselves: of one method, or the differences of pairs. ``shares``: of each benchmark [S, Q]."""

    sides: list[Sequence[Line]]
    shares: list[np.ndarray]

    @property
    def seeds(self) -> int:
        return len(self.shares[0])

    @property
    def sampling(self) -> float:
        """The sampling variance of one run's mean over benchmarks."""
        return sum(_sampling(line) * len(line.shares) for side in self.sides for line in side) / len(self.shares) ** 2


def _sources(own: Sequence[Line], reference: Sequence[Line], paired: bool) -> list[_Source]:
    if not paired:
        return [_Source([side], [line.shares for line in side]) for side in (own, reference) if side[0].trained]
    if not (own[0].trained and reference[0].trained):
        raise ValueError(
            "runs of two trained methods can be paired; one of the two lines is of a model that is not trained."
        )
    return [_Source([own, reference], [_pairs(a.shares, b.shares) for a, b in zip(own, reference, strict=True)])]


def _pairs(own: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The differences of pairs, [S] or [S, Q]."""
    if len(own) != len(reference):
        raise ValueError(f"each run is paired with the one of its seed; got {len(own)} and {len(reference)} runs.")
    return own - reference


def _seeds(sources: list[_Source]) -> list[Spread] | None:
    """The spread of each source; None where none has two runs. A source with one run is taken to spread like the other one."""
    found = []
    for source in sources:
        means = np.mean([shares.mean(1) for shares in source.shares], axis=0)
        variance = max(float(means.var(ddof=1)), source.sampling) if len(means) > 1 else NAN
        found.append(Spread(variance, len(means), source.sampling))
    known = [each.variance for each in found if not math.isnan(each.variance)]
    if sources and not known:
        return None
    return [each._replace(variance=known[0]) if math.isnan(each.variance) else each for each in found]


def _interaction(shares: np.ndarray) -> float:
    """The variance that the interaction of run and question, and sampling, give to a question's mean over runs: ``shares`` [S, Q]."""
    seeds, questions = shares.shape
    rest = shares - shares.mean(0) - shares.mean(1, keepdims=True) + shares.mean()
    return float((rest**2).sum() / ((seeds - 1) * (questions - 1)) / seeds)


def _runs(seeds: Sequence[Spread] | None) -> list[tuple[float, float]]:
    """The parts of the variance of a difference. A method with one seed has the degrees of freedom of the one whose spread it took."""
    most = max((each.seeds for each in seeds or []), default=1)
    return [(each.variance / each.seeds, (each.seeds if each.seeds > 1 else most) - 1) for each in seeds or []]


def _sampling(line: Line) -> float:
    """Sampling variance of the mean over runs; zero where one response per question says nothing about it."""
    if line.samples < 2:
        return 0.0
    return float(np.mean(line.shares * (1 - line.shares)) / (line.samples - 1) / line.shares.size)


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
