"""Two rows on the same questions: paired interval and paired tests over questions, and Holm's correction for many of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from tokencredit.statistics.errors import (
    CONFIDENCE,
    margin_of_equal,
    minimal_detectable_difference,
    numbers,
    question_se,
)

FLIPS = 9999  # random sign flips; with at most 13 questions that differ, all 2**13 flips are enumerated instead
RESAMPLES = 9999


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
    """Compare two rows on the same questions, in the same order: [Q] question scores of each.

    Where all differences are equal, the interval is that of ``margin_of_equal``. Raises ``ValueError`` if Q < 2 or differs, and for a score
    that is no number.
    """
    delta = _differences(scores, reference)
    error, quantile = question_se(delta), float(stats.t.ppf((1 + CONFIDENCE) / 2, delta.size - 1))
    if _none(error):
        error = margin_of_equal(delta, CONFIDENCE) / quantile
    margin, mean = quantile * error, float(delta.mean())
    return Difference(
        mean=mean,
        low=max(-1.0, mean - margin),
        high=min(1.0, mean + margin),
        p=sign_flip_p(delta, seed),
        detectable=minimal_detectable_difference(error),
        questions=delta.size,
    )


def paired_bootstrap(
    scores: ArrayLike, reference: ArrayLike, seed: int = 0, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """(low, high, p) of the mean paired difference by the studentised bootstrap over questions.

    Questions are drawn with replacement, both rows' scores with them. |t*| = |mean* - mean| / se* of each draw takes the place of Student's
    |t|: the interval is mean ± se times its quantile, p the share of draws, the sample counted in, with |t*| at least |mean / se|. The
    symmetric form of Hall (1988); the percentile bootstrap is too narrow for thirty questions. Where no question differs, or all by the
    same, there is nothing to draw: interval and p are then those of ``paired_difference``. Arguments and errors as there.
    """
    delta = _differences(scores, reference)
    mean, error = float(delta.mean()), question_se(delta)
    if _none(error):
        found = margin_of_equal(delta, confidence)
        return max(-1.0, mean - found), min(1.0, mean + found), sign_flip_p(delta, seed)
    generator = np.random.default_rng(seed)
    drawn = np.concatenate(
        [_bootstrap_t(delta, mean, generator, min(1000, resamples - start)) for start in range(0, resamples, 1000)]
    )
    margin = float(np.quantile(drawn, confidence, method="higher")) * error
    p = (np.sum(drawn >= abs(mean) / error) + 1) / (resamples + 1)
    return max(-1.0, mean - margin), min(1.0, mean + margin), float(p)


def sign_flip_p(delta: ArrayLike, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p of "no difference": the chance, over random signs of the per-question differences [Q], of a sum as far from zero.

    All sign patterns are enumerated when 2**(questions that differ) <= ``flips``, so that small sets get an exact p; otherwise
    ``flips`` random ones, the observed one counted in, from a fixed ``seed``. 1 if no question differs. Raises ``ValueError`` for a
    difference that is no number.
    """
    delta = numbers(np.asarray(delta, float))
    delta = delta[delta != 0]
    if delta.size == 0:
        return 1.0
    observed = abs(delta.sum()) * (1 - 1e-12)  # rounding must not break ties with the observed pattern
    if 2**delta.size <= flips:
        patterns = (np.arange(2**delta.size)[:, None] >> np.arange(delta.size)) & 1
        return float(np.mean(np.abs((2 * patterns - 1) @ delta) >= observed))
    generator = np.random.default_rng(seed)
    signs = generator.integers(0, 2, size=(flips, delta.size), dtype=np.int8) * 2 - 1
    extreme = np.abs(signs @ delta) >= observed
    return float((extreme.sum() + 1) / (flips + 1))


def holm(p_values: ArrayLike) -> np.ndarray:
    """p values adjusted for the whole family by Holm's step-down method (1979)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate((p.size - np.arange(p.size)) * p[order]))
    return adjusted


def _none(error: float) -> bool:
    return error <= 1e-12


def _differences(scores: ArrayLike, reference: ArrayLike) -> np.ndarray:
    scores, reference = np.asarray(scores, float), np.asarray(reference, float)
    if scores.shape != reference.shape or scores.size < 2:
        raise ValueError(
            f"two equally long lists of at least two question scores are needed; got {scores.shape}, {reference.shape}."
        )
    return numbers(scores - reference)


def _bootstrap_t(delta: np.ndarray, mean: float, generator: np.random.Generator, draws: int) -> np.ndarray:
    """|t*| of ``draws`` samples with replacement; infinite where one drew a single value that is not the mean."""
    drawn = delta[generator.integers(0, delta.size, size=(draws, delta.size))]
    shift = np.abs(drawn.mean(1) - mean)
    spread = drawn.std(1, ddof=1) / np.sqrt(delta.size)
    return np.divide(shift, spread, out=np.full(draws, np.inf), where=spread > 1e-12)
