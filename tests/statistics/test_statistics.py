"""Intervals, paired tests and their calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from tokencredit import statistics
from tokencredit.statistics.estimators import pass_at_k


@pytest.mark.slow
def test_holm_equals_statsmodels() -> None:
    p = np.random.default_rng(1).uniform(size=20) ** 3
    assert statistics.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_interval_where_nothing_or_everything_is_right_is_clopper_pearson() -> None:
    for right in (0, 30):
        scores = np.repeat([1.0, 0.0], [right, 30 - right])
        assert statistics.mean_interval(scores) == pytest.approx(proportion_confint(right, 30, method="beta"), abs=1e-9)


def test_interval_of_single_answers_is_near_the_textbooks() -> None:
    low, high = statistics.mean_interval(np.repeat([1.0, 0.0], [12, 18]))
    assert (low, high) == pytest.approx(proportion_confint(12, 30, method="wilson"), abs=0.01)


def test_the_interval_is_the_normal_one_on_the_logit_scale_after_half_a_question_of_either_kind() -> None:
    scores = np.array([0, 0, 0.25, 0.5, 1, 0, 0.75, 0, 0.25, 0])
    weights = np.array([*np.ones(10), 0.5, 0.5])
    described = DescrStatsW(np.array([*scores, 1, 0]), weights=weights)
    mean, error = described.mean, described.std_mean
    margin = scipy_stats.norm.ppf(0.975) * error / (mean * (1 - mean))
    logit = np.log(mean / (1 - mean))
    assert mean == pytest.approx((2.75 + 0.5) / 11)
    expected = 1 / (1 + np.exp(-np.array([logit - margin, logit + margin])))
    assert statistics.mean_interval(scores) == pytest.approx(expected.tolist(), abs=1e-12)


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


@pytest.mark.parametrize("compare", ["paired_difference", "paired_bootstrap"])
def test_equal_differences_are_no_certainty(compare: str) -> None:
    """By Clopper and Pearson: of all questions, the share 1 - 0.025^(1/Q) may be otherwise."""

    def interval(own: list[float], other: list[float]) -> tuple[float, float, float]:
        found = getattr(statistics, compare)(own, other)
        return found if isinstance(found, tuple) else (found.low, found.high, found.p)

    share = proportion_confint(0, 3, method="beta")[1]
    low, high, p = interval([0.5, 0.75, 1.0], [0.25, 0.5, 0.75])
    assert (low, high) == pytest.approx((0.25 - 1.25 * share, min(1, 0.25 + 1.25 * share)))
    assert p == 2 / 2**3
    assert interval([0.5] * 3, [0.5] * 3) == (0.0, 0.0, 1.0)  # no difference, and none is claimed
    low, high, _ = interval([0.5] * 1000, [0.25] * 1000)
    assert 0.245 < low < 0.25 < high < 0.255


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(broken: float) -> None:
    scores, reference = [0.5, broken, 0.25], [0.5, 0.5, 0.0]
    for compare in (statistics.paired_difference, statistics.paired_bootstrap):
        for pair in ((scores, reference), (reference, scores)):
            with pytest.raises(ValueError, match="1 of 3 questions have no number, the first is number 2"):
                compare(*pair)
    with pytest.raises(ValueError, match="have no number"):
        statistics.sign_flip_p(scores)
    with pytest.raises(ValueError, match="have no number"):
        statistics.mean_interval(scores)


def test_minimal_detectable_difference() -> None:
    assert statistics.minimal_detectable_difference(1.0) == pytest.approx(2.80, abs=0.005)
    assert statistics.minimal_detectable_difference(1.0, power=0.9) == pytest.approx(3.24, abs=0.005)


def test_the_bootstrap_is_near_students_t() -> None:
    rng = np.random.default_rng(8)
    own, other = rng.uniform(size=(2, 60))
    low, high, p = statistics.paired_bootstrap(own, other)
    found = scipy_stats.ttest_rel(own, other)
    assert (low, high) == pytest.approx(found.confidence_interval(0.95), abs=0.01)
    assert p == pytest.approx(found.pvalue, abs=0.02)


@pytest.mark.slow
def test_pass_sampling_error_matches_simulation() -> None:
    rng = np.random.default_rng(9)
    ability = rng.beta(0.4, 0.6, size=40)
    counts = rng.binomial(32, ability, size=(2000, 40))
    for k in (4, 32):
        true = pass_at_k(np.full(counts.shape, 32), counts, k).mean(1).std()
        estimates = [statistics.pass_sampling_se(np.full(40, 32), count, k) for count in counts[:50]]
        assert 0.98 * true < np.mean(estimates) < 1.8 * true
    assert statistics.pass_sampling_se([8], [0], 8) > 0


def test_margins_add_up_in_squares() -> None:
    assert statistics.margin_of([(4.0, np.inf)], 0.025) == pytest.approx(2 * 1.96, abs=0.001)
    alone = [statistics.margin_of([part], 0.05) for part in ((1.0, 2), (2.0, 9))]
    assert statistics.margin_of([(1.0, 2), (2.0, 9), (0.0, 0)], 0.05) == pytest.approx(np.hypot(*alone))


def lines(scores: np.ndarray, samples: int = 16, trained: bool = True) -> list[statistics.Line]:
    return [statistics.Line(np.atleast_2d(scores), samples, trained)]


def test_two_levels_of_one_model_each_are_the_paired_t_test() -> None:
    own, other = np.random.default_rng(12).uniform(size=(2, 30))
    found = statistics.two_level_difference(lines(own, trained=False), lines(other, trained=False))
    expected = scipy_stats.ttest_rel(own, other)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))
    assert found.seeds == []


def test_two_levels_without_questions_that_differ_are_a_t_test_of_the_runs() -> None:
    """Every question shifted alike by the run, and so many answers that they hold no noise: nothing is left but the spread over seeds."""
    own, other, many = np.array([0.5, 0.6, 0.7]), 0.2, 10**9
    found = statistics.two_level_difference(
        lines(own[:, None] + np.zeros(40), samples=many), lines(np.full(40, other), samples=many, trained=False)
    )
    expected = scipy_stats.ttest_1samp(own - other, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-4)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95), rel=1e-4)


@pytest.mark.parametrize(
    ("own", "other", "samples"),
    [(0.5, 0.25, 4), (1.0, 0.0, 4), (1.0, 0.0, 1), (0.5, 0.5, 16), (0.75, 0.25, 1)],
)
def test_two_levels_of_equal_differences_keep_the_noise_of_sampling(own: float, other: float, samples: int) -> None:
    found = statistics.two_level_difference(
        lines(np.full(3, own), samples, trained=False), lines(np.full(3, other), samples, trained=False)
    )
    assert found.low < found.mean <= found.high
    assert found.p > 0
    ((part, df),) = found.questions
    if 0 < own < 1 and samples > 1:
        noise = (own * (1 - own) + other * (1 - other)) / (samples - 1) / 3
        assert (part, df, found.sampling) == (pytest.approx(noise), 2, [pytest.approx(noise)])
    more = statistics.two_level_difference(
        lines(np.full(300, own), samples, trained=False), lines(np.full(300, other), samples, trained=False)
    )
    assert found.low < more.low < more.mean


def mean_square(table: np.ndarray) -> float:
    """The interaction of rows and columns, as a table of the analysis of variance has it."""
    rest = [
        value - table[:, column].mean() - table[row].mean() + table.mean()
        for (row, column), value in np.ndenumerate(table)
    ]
    return float(np.sum(np.square(rest)) / np.prod(np.subtract(table.shape, 1)))


@pytest.mark.parametrize("paired", [True, False])
def test_two_levels_of_several_benchmarks_are_their_unweighted_mean(paired: bool) -> None:
    rng = np.random.default_rng(13)
    difficulty = [rng.normal(0, 2, n) for n in (30, 90)]
    own, other = ([rng.normal(d, 1, (3, d.size)) - shift * d for d in difficulty] for shift in (0, 0.5))
    found = statistics.two_level_difference(
        [statistics.Line(part, 1) for part in own], [statistics.Line(part, 1) for part in other], paired=paired
    )
    deltas = [a - b for a, b in zip(own, other, strict=True)]
    assert found.mean == pytest.approx(np.mean([delta.mean() for delta in deltas]))
    tables = zip(*([deltas] if paired else [own, other]), strict=True)
    assert [part for part, _ in found.questions] == pytest.approx(
        [
            (delta.mean(0).var(ddof=1) - sum(map(mean_square, of)) / 3) / delta.shape[1] / 4
            for delta, of in zip(deltas, tables, strict=True)
        ]
    )
    runs = [np.mean([part.mean(1) for part in parts], axis=0) for parts in ([deltas] if paired else [own, other])]
    assert found.seeds == [(pytest.approx(run.var(ddof=1)), 3, 0) for run in runs]


def test_paired_runs_are_the_t_test_of_their_differences() -> None:
    """What both runs of a seed have in common drops out, whatever it is, and many questions leave only the pairs."""
    rng = np.random.default_rng(15)
    luck, own, other = rng.normal(0, 3, 5), rng.normal(0.5, 0.1, 5), rng.normal(0.4, 0.1, 5)
    sides = [lines((run + luck)[:, None] + np.zeros(40), samples=1) for run in (own, other)]
    found, expected = statistics.two_level_difference(*sides, paired=True), scipy_stats.ttest_rel(own, other)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert statistics.two_level_difference(*sides).p > 0.5
    of_runs = statistics.run_difference(own + luck, other + luck, paired=True)
    assert (of_runs.p, of_runs.paired) == (pytest.approx(expected.pvalue), True)
    with pytest.raises(ValueError, match="paired with the one of its seed"):
        statistics.run_difference(own, other[:3], paired=True)
    with pytest.raises(ValueError, match="is of a model that is not trained"):
        statistics.two_level_difference(lines(own), lines(other, trained=False), paired=True)


def test_pairs_spread_no_less_than_their_sampling_noise() -> None:
    found = statistics.two_level_difference(lines(np.full((3, 30), 0.5)), lines(np.full((3, 30), 0.25)), paired=True)
    noise = (0.5**2 + 0.25 * 0.75) / 15 / 30
    assert found.seeds == [(pytest.approx(noise), 3, pytest.approx(noise))]
    assert found.low < found.mean < found.high


def test_one_seed_says_nothing_about_seeds_and_borrows_the_others() -> None:
    rng = np.random.default_rng(14)
    own, other = rng.uniform(size=(2, 3, 30))
    alone = statistics.two_level_difference(lines(own[0]), lines(other[0]))
    assert alone.seeds is None
    assert np.isnan(alone.seeds_needed())
    borrowed = statistics.two_level_difference(lines(own, 1), lines(other[0], 1))
    assert [(each.variance, each.seeds) for each in borrowed.seeds or []] == [
        (pytest.approx(own.mean(1).var(ddof=1)), count) for count in (3, 1)
    ]
    with pytest.raises(ValueError, match="the same two questions or more"):
        statistics.two_level_difference(lines(own), lines(other[:, :20]))


def test_training_results_of_one_method_are_a_t_test() -> None:
    runs = [0.4, -0.1, 0.3, 0.5]
    found, expected = statistics.run_difference(runs, confidence=0.9), scipy_stats.ttest_1samp(runs, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_training_results_that_are_all_equal_tell_nothing_of_others() -> None:
    found = statistics.run_difference([0.4] * 3)
    assert found.mean == pytest.approx(0.4)
    assert np.isnan([found.low, found.high, found.p]).all()
    assert statistics.run_difference([0.0] * 3).p == 1


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="variances that are numbers"):
        statistics.margin_of([(np.nan, 3), (1.0, 3)], 0.025)
    for runs in ([0.4, np.nan, 0.3], [np.nan] * 3, [np.inf, 0.1]):
        with pytest.raises(ValueError, match="numbers"), np.errstate(invalid="ignore"):
            statistics.run_difference(runs)


def test_training_results_of_two_methods_keep_their_own_degrees_of_freedom() -> None:
    own, other = [0.4, 0.6], [0.1, 0.2, 0.0, 0.3, 0.15]
    found = statistics.run_difference(own, other)
    assert found.mean == pytest.approx(0.35)
    parts = [scipy_stats.t.ppf(0.975, len(side) - 1) ** 2 * np.var(side, ddof=1) / len(side) for side in (own, other)]
    assert found.high - found.mean == pytest.approx(np.sqrt(sum(parts)))
    assert found.high - found.low > np.ptp(scipy_stats.ttest_ind(own, other, equal_var=False).confidence_interval())
    assert statistics.run_difference(np.add(own, 3), np.add(other, 3)).p == pytest.approx(found.p)


def test_training_results_of_one_run_tell_nothing_of_others() -> None:
    found = statistics.run_difference([0.4], [0.1, 0.2])
    assert found.seeds is None
    assert np.isnan([found.low, found.high, found.p]).all()


def two_level(mean: float, seeds: list[statistics.Spread] | None) -> statistics.TwoLevel:
    return statistics.TwoLevel(mean, 0, 0, 1, questions=[(2e-4, 10_000)], sampling=[1.5e-4], seeds=seeds)


def test_what_it_takes_is_enough_and_no_more() -> None:
    found = two_level(0.06, [statistics.Spread(2e-4, 3, 1e-4), statistics.Spread(1e-4, 3)])
    times, seeds = found.samples_needed(), found.seeds_needed()
    first, second = found.seeds or []
    enough = replace(
        found,
        questions=[(0.5e-4 + 1.5e-4 / times, 10_000)],
        seeds=[first._replace(variance=1e-4 + 1e-4 / times), second],
    )
    assert enough.detectable() == pytest.approx(0.06, rel=1e-6)
    for count in (seeds - 1, seeds):
        again = replace(found, seeds=[each._replace(seeds=int(count)) for each in (first, second)])
        assert (again.detectable() <= 0.06) == (count == seeds)


def test_an_effect_outside_the_interval_is_excluded() -> None:
    found = replace(two_level(0.02, None), low=-0.01, high=0.05)
    assert [found.excludes(value) for value in (-0.02, -0.01, 0.007, 0.06)] == [True, False, False, True]


def test_what_no_number_of_responses_or_seeds_can_show() -> None:
    found = two_level(0.01, [statistics.Spread(2e-4, 3), statistics.Spread(1e-4, 3)])
    assert (found.samples_needed(), found.seeds_needed()) == (np.inf, np.inf)
    assert np.isnan(two_level(0.05, None).seeds_needed())


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.1, 0.4])
def test_equivalence_is_two_one_sided_tests(shift: float) -> None:
    """Of paired runs they are Student's t tests, as statsmodels computes them."""
    own, reference = np.random.default_rng(4).normal(size=(2, 9)) * 0.1
    found = statistics.run_difference(own + shift, reference, paired=True)
    assert found.p_within(0.2) == pytest.approx(ttost_paired(own + shift, reference, -0.2, 0.2)[0], rel=1e-6)
    beyond = scipy_stats.ttest_rel(own + shift, reference + np.sign(found.mean) * 0.2).pvalue
    assert found.p_beyond(0.2) == pytest.approx(beyond if abs(found.mean) > 0.2 else 1.0, rel=1e-6)
