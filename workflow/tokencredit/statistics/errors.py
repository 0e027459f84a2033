"""The three sources of error, each by itself, and what a difference with a given error could have shown."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from tokencredit.statistics.estimators import pass_at_k

CONFIDENCE = 0.95
NAN = float("nan")  # in place of a number that was not measured, or that so few runs or responses do not tell


def numbers(scores: np.ndarray) -> np.ndarray:
    """``scores`` [Q] themselves; a ``ValueError`` where a question has no number: it must not count as equal, different or zero."""
    without = np.flatnonzero(~np.isfinite(scores))
    if without.size:
        raise ValueError(
            f"{without.size} of {scores.size} questions have no number, the first is number {without[0] + 1}."
        )
    return scores


def question_se(scores: ArrayLike) -> float:
    """Standard error of the mean score over questions as a sample of questions: s / sqrt(Q), ddof 1. NaN for one question."""
    scores = np.asarray(scores, float)
    return float(scores.std(ddof=1) / np.sqrt(scores.size)) if scores.size > 1 else NAN


def sampling_se(n: ArrayLike, c: ArrayLike) -> float:
    """Standard error of Avg@n from sampling responses alone, these questions and this model held fixed.

    n, c: responses and right responses per question, [Q]. The variance of a question's c/n is estimated without bias by
    p(1-p)/(n-1). NaN where n = 1: one response says nothing about its own noise.
    """
    n, c = np.asarray(n, float), np.asarray(c, float)
    if np.any(n < 2):
        return NAN
    share = c / n
    return float(np.sqrt(np.sum(share * (1 - share) / (n - 1))) / n.size)


def pass_sampling_se(n: ArrayLike, c: ArrayLike, k: int) -> float:
    """Standard error of Pass@k, estimated from n responses, from sampling alone: these questions and this model held fixed.

    n, c: [Q]. The variance of a question's estimate is that of ``pass_at_k(n, C, k)`` for C ~ Binomial(n, (c + 1/2)/(n + 1)): the half
    keeps a question that was never (or always) solved from counting as certain, so the error is rather too large than too small.
    """
    n, c = np.broadcast_arrays(np.asarray(n, int), np.asarray(c, int))
    total = 0.0
    for (responses, right), questions in zip(*_counted(n, c), strict=True):
        drawn = np.arange(responses + 1)
        chance = stats.binom.pmf(drawn, responses, (right + 0.5) / (responses + 1))
        passed = pass_at_k(np.full_like(drawn, responses), drawn, k)
        total += questions * (chance @ passed**2 - (chance @ passed) ** 2)
    return float(np.sqrt(total) / n.size)


def seed_spread(means: ArrayLike) -> float:
    """Standard deviation (ddof 1) of a result over training seeds. NaN for one seed."""
    means = np.asarray(means, float)
    return float(means.std(ddof=1)) if means.size > 1 else NAN


def seed_variance(means: ArrayLike, sampling: float) -> float:
    """The part of the variance over training seeds that is not sampling noise: max(0, s^2 - sampling^2). NaN for one seed.

    means: the result of each seed, [S]; ``sampling``: the sampling error of one of them. The analysis-of-variance estimate of a
    variance component (Searle, Casella and McCulloch 1992, chapter 3).
    """
    return max(0.0, seed_spread(means) ** 2 - sampling**2) if np.size(means) > 1 else NAN


def margin_of(parts: Iterable[tuple[float, float]], tail: float) -> float:
    """The half-width of an interval whose error has several parts, (variance, degrees of freedom): sqrt(sum t[1 - tail; df]^2 variance).

    The margins of the parts add up in squares (Zou and Donner 2008; Howe 1974), so that a part which few runs tell of keeps its own
    quantile: degrees of freedom in common, by Satterthwaite's rule, are too many where the spread over three seeds came out small. Raises
    ``ValueError`` for a variance that is no finite number: what is not known must not count as none.
    """
    parts = list(parts)
    if not all(math.isfinite(variance) for variance, _ in parts):
        raise ValueError(f"an interval needs variances that are numbers; got {[variance for variance, _ in parts]}.")
    return math.sqrt(sum(float(special.stdtrit(df, tail)) ** 2 * variance for variance, df in parts if variance > 0))


def margin_of_equal(delta: np.ndarray, confidence: float) -> float:
    """Half the width of an interval around differences [Q] that are all equal, where there is no spread to go by.

    Of all questions at most the share s = 1 - ((1 - confidence)/2)^(1/Q) may be otherwise without one among Q (Clopper and Pearson). A
    difference lies between -1 and 1, so each of these is at most 1 + |mean| from the others, and the mean of all within s (1 + |mean|).
    Zero where no question differs: the two are one on these questions, and nothing is claimed of them.
    """
    mean = abs(float(delta.mean()))
    return (1 - ((1 - confidence) / 2) ** (1 / delta.size)) * (1 + mean) if mean > 1e-12 else 0.0


def minimal_detectable_difference(error: float, power: float = 0.8, level: float = 0.05) -> float:
    """The true difference that a two-sided test at ``level`` finds with chance ``power``, for a difference of standard error ``error``.

    (z[1 - level/2] + z[power]) error, in the unit of ``error``.
    """
    return float((stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) * error)


def _counted(n: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(np.stack([n.ravel(), c.ravel()], axis=1), axis=0, return_counts=True)
