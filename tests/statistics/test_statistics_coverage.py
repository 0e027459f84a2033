"""Simulated benchmarks of known truth: intervals cover as often as they say, tests reject as seldom as they say. Seeded; no seconds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from tokencredit import statistics

# Difficulty of the questions: beta-distributed chances to be solved.
HARD, SPREAD, EASY = (0.2, 1.8), (0.4, 0.6), (1.8, 0.2)


def shares(generator: np.random.Generator, chances: np.ndarray, samples: int) -> np.ndarray:
    return generator.binomial(samples, chances) / samples


@pytest.mark.slow
@pytest.mark.parametrize("questions", [30, 500])
@pytest.mark.parametrize("samples", [4, 32])
@pytest.mark.parametrize("truth", [HARD, (0.5, 4.5), SPREAD, (2, 3), EASY], ids=str)
def test_intervals_cover(questions: int, samples: int, truth: tuple[float, float]) -> None:
    generator = np.random.default_rng([questions, samples, int(10 * truth[0])])
    mean, trials = truth[0] / sum(truth), 1500
    hits = 0
    for _ in range(trials):
        low, high = statistics.mean_interval(shares(generator, generator.beta(*truth, questions), samples), 0.9)
        assert 0 <= low <= high <= 1
        hits += low <= mean <= high
    assert 0.87 <= hits / trials <= 0.935 if questions == 30 else 0.87 <= hits / trials <= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("questions", "samples", "trials"), [(30, 32, 2500), (500, 4, 1000)])
def test_paired_tests_keep_their_level(questions: int, samples: int, trials: int) -> None:
    """Two rows that solve every question alike. Sign flips are exact: where few questions differ they reject less, never more."""
    generator = np.random.default_rng(questions)
    flips = boots = covered = 0
    for _ in range(trials):
        chances = generator.beta(*SPREAD, questions)
        own, other = (shares(generator, chances, samples) for _ in range(2))
        low, high, p = statistics.paired_bootstrap(own, other, resamples=399)
        flips += statistics.sign_flip_p(own - other, flips=399) <= 0.05
        boots += p <= 0.05
        covered += low <= 0 <= high
    assert 0.04 <= flips / trials <= 0.06
    assert 0.04 <= boots / trials <= 0.06
    assert 0.93 <= covered / trials <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("truth", [HARD, EASY], ids=["hard", "easy"])
def test_paired_tests_never_reject_too_often(truth: tuple[float, float]) -> None:
    generator = np.random.default_rng(7)
    flips = boots = 0
    for _ in range(800):
        chances = generator.beta(*truth, 30)
        own, other = (shares(generator, chances, 4) for _ in range(2))
        flips += statistics.sign_flip_p(own - other, flips=399) <= 0.05
        boots += statistics.paired_bootstrap(own, other, resamples=399)[2] <= 0.05
    assert flips / 800 <= 0.06
    assert boots / 800 <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize(("questions", "samples"), [(30, 16), (500, 4)])
def test_training_seeds_are_not_taken_for_an_effect(questions: int, samples: int) -> None:
    """The same method twice, three runs each that differ by their seeds: a test over questions alone finds a difference too often."""
    generator = np.random.default_rng(questions)
    over_questions = over_both = 0
    trials = 600
    for _ in range(trials):
        ability = generator.normal(-0.5, 2, questions)
        own, other = (shares(generator, expit(ability + generator.normal(0, 0.3, (3, 1))), samples) for _ in range(2))
        lines = [statistics.Line(scores, samples) for scores in (own, other)]
        over_both += statistics.two_level_difference(lines[:1], lines[1:]).p < 0.05
        delta = own.mean(0) - other.mean(0)
        over_questions += abs(delta.mean()) > 1.96 * statistics.question_se(delta)
    assert over_questions / trials > 0.25
    assert over_both / trials <= 0.08


# The spread of the embedded study's final scores, in points: what runs of one seed have in common, what a run has of its own, and what it
# has of its own on a question, sampling included (twelve methods on one recipe, five seeds, three benchmarks of 32 questions).
LUCK, RUN, QUESTION = 1.4, 0.3, 7.8


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "least", "most"), [(0.0, 0.03, 0.05), (3.0, 0.85, 1.0)])
def test_pairs_of_five_seeds_keep_their_level_and_find_three_points(effect: float, least: float, most: float) -> None:
    generator = np.random.default_rng(17)
    found = covered = unpaired = 0
    trials = 1000
    for _ in range(trials):
        luck = 0.5 + generator.normal(0, LUCK, 5) / 100
        own, other = (
            [
                statistics.Line((luck + run)[:, None] + generator.normal(0, QUESTION / 100, (5, 32)) + shift, 256)
                for _ in range(3)
            ]
            for run, shift in (
                (generator.normal(0, RUN, 5) / 100, effect / 100),
                (generator.normal(0, RUN, 5) / 100, 0),
            )
        )
        pairs = statistics.two_level_difference(own, other, paired=True)
        found += pairs.excludes(0)
        covered += not pairs.excludes(effect / 100)
        unpaired += statistics.two_level_difference(own, other).excludes(0)
    assert least <= found / trials <= most
    assert 0.95 <= covered / trials <= 0.98
    assert unpaired < 0.75 * found


def test_the_detectable_difference_is_detected_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    error = np.sqrt(2 * 0.2**2 / 40)
    effect = statistics.minimal_detectable_difference(error, power=0.8)
    found = 0
    for _ in range(1000):
        own, other = generator.normal(0.5 + effect, 0.2, 40), generator.normal(0.5, 0.2, 40)
        found += abs((own - other).mean()) > 1.96 * error
    assert 0.77 <= found / 1000 <= 0.83
