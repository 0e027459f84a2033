"""Intervals, paired tests and their calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tokencredit.evaluate import statistics


def test_holm_equals_statsmodels() -> None:
    p = np.random.default_rng(1).uniform(size=20) ** 3
    assert statistics.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_interval_of_single_answers_is_clopper_pearson() -> None:
    for right in (0, 30):
        scores = np.repeat([1.0, 0.0], [right, 30 - right])
        assert statistics.mean_interval(scores) == pytest.approx(proportion_confint(right, 30, method="beta"), abs=1e-9)
    low, high = statistics.mean_interval(np.repeat([1.0, 0.0], [12, 18]))
    assert (low, high) == pytest.approx(proportion_confint(12, 30, method="beta"), abs=0.02)


def test_interval_covers_about_as_often_as_it_says() -> None:
    """Also for 30 questions, most of which are never solved: the hard case of AIME."""
    rng = np.random.default_rng(0)
    for accuracy in (0.05, 0.4, 0.9):
        hits = 0
        for _ in range(400):
            ability = rng.beta(accuracy * 2, (1 - accuracy) * 2, size=30)
            low, high = statistics.mean_interval(rng.binomial(8, ability) / 8)
            hits += low <= accuracy <= high
        assert hits / 400 >= 0.92


def test_interval_of_the_mean_of_benchmarks() -> None:
    rng = np.random.default_rng(5)
    parts = [rng.binomial(8, rng.beta(2, 3, size=60)) / 8 for _ in range(4)]
    low, high = statistics.interval_of_mean(parts)
    error = np.sqrt(sum(statistics.question_se(part) ** 2 for part in parts)) / 4
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.12)
    assert statistics.interval_of_mean(parts[:1]) == pytest.approx(statistics.mean_interval(parts[0]))
    low, high = statistics.interval_of_mean([np.zeros(8), np.zeros(8)])
    assert low == 0
    assert high == pytest.approx(statistics.mean_interval(np.zeros(8))[1] / np.sqrt(2))


def test_sampling_error_matches_simulation() -> None:
    rng = np.random.default_rng(2)
    ability = rng.uniform(size=25)
    draws = rng.binomial(16, ability, size=(2000, 25))
    estimates = [statistics.sampling_se(np.full(25, 16), draw) for draw in draws[:200]]
    assert np.mean(estimates) == pytest.approx((draws / 16).mean(1).std(), rel=0.05)
    assert np.isnan(statistics.sampling_se([1, 1], [0, 1]))


def test_three_sources_are_three_numbers() -> None:
    assert statistics.question_se([0.0, 1.0]) == pytest.approx(0.5)
    assert statistics.seed_spread([0.1, 0.3]) == pytest.approx(0.2 / np.sqrt(2))
    assert np.isnan(statistics.seed_spread([0.1]))


def test_sign_flip_is_exact_for_few_questions() -> None:
    assert statistics.sign_flip_p([1, 1, 1, 1, 1, 0, 0]) == 2 / 2**5
    assert statistics.sign_flip_p([0, 0]) == 1
    delta = np.array([0.3, -0.1, 0.2, 0.5, -0.2, 0.1, 0.25])
    expected = scipy_stats.permutation_test((delta,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert statistics.sign_flip_p(delta) == pytest.approx(expected)


def test_sign_flip_keeps_its_level() -> None:
    rng = np.random.default_rng(3)
    rejected = np.mean([statistics.sign_flip_p(rng.normal(size=40)) < 0.05 for _ in range(300)])
    assert 0.02 < rejected < 0.09


def test_paired_difference() -> None:
    rng = np.random.default_rng(4)
    reference = rng.uniform(0, 0.8, size=50)
    found = statistics.paired_difference(reference + 0.1 + rng.normal(0, 0.02, 50), reference)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(0.1, abs=0.02)
    assert found.p == pytest.approx(1 / 10_000)
    assert found.detectable < 0.02
    with pytest.raises(ValueError, match="equally long"):
        statistics.paired_difference([1.0, 0.0], [1.0])


def test_minimal_detectable_difference() -> None:
    assert statistics.minimal_detectable_difference(1.0) == pytest.approx(2.80, abs=0.005)
