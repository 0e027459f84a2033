"""Uncertainty of benchmark results. Three sources are kept apart: questions, sampling, training seeds; nothing is pooled over them.

All scores are shares in [0, 1]. A *question score* is one number per question (its Avg@k, or its Pass@k); with several training seeds
it is the mean over seeds of that question, so that seeds never count as further questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95
FLIPS = 9999  # random sign flips; with at most 13 questions that differ, all 2**13 flips are enumerated instead


def question_se(scores: ArrayLike) -> float:
    """Standard error of the mean score over questions as a sample of questions: s / sqrt(Q), ddof 1. NaN for one question."""
    scores = np.asarray(scores, float)
    return float(scores.std(ddof=1) / np.sqrt(scores.size)) if scores.size > 1 else float("nan")


def sampling_se(n: ArrayLike, c: ArrayLike) -> float:
    """Standard error of Avg@n from sampling responses alone, these questions and this model held fixed.

    n, c: responses and right responses per question, [Q]. The variance of a question's c/n is estimated without bias by
    p(1-p)/(n-1). NaN where n = 1: one response says nothing about its own noise.
    """
    n, c = np.asarray(n, float), np.asarray(c, float)
    if np.any(n < 2):
        return float("nan")
    share = c / n
    return float(np.sqrt(np.sum(share * (1 - share) / (n - 1))) / n.size)


def seed_spread(means: ArrayLike) -> float:
    """Standard deviation (ddof 1) of a result over training seeds. NaN for one seed."""
    means = np.asarray(means, float)
    return float(means.std(ddof=1)) if means.size > 1 else float("nan")


def mean_interval(scores: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact-type interval of the mean of question scores, right for small sets and near 0 and 1.

    Korn and Graubard (1998): a Clopper-Pearson interval with the effective number of trials p(1-p)/SE^2, SE the question standard
    error, scaled by (z/t)^2 for SE's own uncertainty. The k responses of a question are thus not counted as k independent trials. The
    effective number is never below the number of questions, nor above a thousand times it.
    """
    scores = np.asarray(scores, float)
    questions, mean = scores.size, float(scores.mean())
    tail = (1 - confidence) / 2
    error = question_se(scores)
    trials = float(questions)
    if questions > 1 and error > 0:
        shrink = (stats.norm.ppf(tail) / stats.t.ppf(tail, questions - 1)) ** 2
        trials = float(np.clip(mean * (1 - mean) / error**2 * shrink, questions, 1000 * questions))
    right = mean * trials
    low = special.betaincinv(right, trials - right + 1, tail) if mean > 0 else 0.0
    high = special.betaincinv(right + 1, trials - right, 1 - tail) if mean < 1 else 1.0
    return float(low), float(high)


def interval_of_mean(parts: Sequence[ArrayLike], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the unweighted mean over benchmarks of their mean question scores, from the benchmarks' own intervals.

    ``parts``: question scores of each benchmark. Zou and Donner (2008): the distances from mean to limit add up in squares, so that a
    benchmark on which nothing, or everything, was right still adds its uncertainty.
    """
    means = np.array([np.mean(part) for part in parts])
    limits = np.array([mean_interval(part, confidence) for part in parts])
    below, above = (np.sqrt(np.sum((limits[:, side] - means) ** 2)) / len(parts) for side in (0, 1))
    return float(means.mean() - below), float(means.mean() + above)


@dataclass(frozen=True)
class Difference:
    """A paired difference of two rows on the same questions, in shares.

    ``low``, ``high``: 95 % interval over questions (Student's t); ``p``: two-sided sign-flip test; ``detectable``: the smallest
    difference that such a comparison would find with 80 % power at level 0.05.
    """

    mean: float
    low: float
    high: float
    p: float
    detectable: float
    questions: int


def paired_difference(scores: ArrayLike, reference: ArrayLike, seed: int = 0) -> Difference:
    """Compare two rows on the same questions, in the same order: [Q] question scores of each. Raises ``ValueError`` if Q < 2 or differs."""
    scores, reference = np.asarray(scores, float), np.asarray(reference, float)
    if scores.shape != reference.shape or scores.size < 2:
        raise ValueError(
            f"two equally long lists of at least two question scores are needed; got {scores.shape}, {reference.shape}."
        )
    delta = scores - reference
    error = question_se(delta)
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, delta.size - 1)) * error
    mean = float(delta.mean())
    return Difference(
        mean=mean,
        low=max(-1.0, mean - margin),
        high=min(1.0, mean + margin),
        p=sign_flip_p(delta, seed),
        detectable=minimal_detectable_difference(error),
        questions=delta.size,
    )


def sign_flip_p(delta: ArrayLike, seed: int = 0) -> float:
    """Two-sided p of "no difference": the chance, over random signs of the per-question differences [Q], of a sum as far from zero.

    All sign patterns are enumerated when 2**(questions that differ) <= ``FLIPS``, so that small sets get an exact p; otherwise
    ``FLIPS`` random ones, the observed one counted in, from a fixed ``seed``. 1 if no question differs.
    """
    delta = np.asarray(delta, float)
    delta = delta[delta != 0]
    if delta.size == 0:
        return 1.0
    observed = abs(delta.sum()) * (1 - 1e-12)  # rounding must not break ties with the observed pattern
    if 2**delta.size <= FLIPS:
        patterns = (np.arange(2**delta.size)[:, None] >> np.arange(delta.size)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ delta) >= observed))
    generator = np.random.default_rng(seed)
    signs = generator.integers(0, 2, size=(FLIPS, delta.size), dtype=np.int8) * 2 - 1
    extreme = np.abs(signs @ delta) >= observed
    return float((extreme.sum() + 1) / (FLIPS + 1))


def minimal_detectable_difference(error: float, power: float = 0.8, level: float = 0.05) -> float:
    """The true difference that a two-sided test at ``level`` finds with chance ``power``, for a difference of standard error ``error``."""
    return float((stats.norm.ppf(1 - level / 2) + stats.norm.ppf(power)) * error)


def holm(p_values: ArrayLike) -> np.ndarray:
    """p values adjusted for the whole family by Holm's step-down method (1979)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate((p.size - np.arange(p.size)) * p[order]))
    return adjusted
