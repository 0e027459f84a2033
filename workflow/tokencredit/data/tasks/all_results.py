"""The embedded task ``all-results``: the problems of ``word-problems``, answered by the results of all their steps, in order.

A solution that leaves early has to guess every result that it did not work out, and hardly ever guesses them all. Careful solutions make
more mistakes than those of ``word-problems``: what training gains beyond taking care has to come from arithmetic.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tokencredit.data import phrasing
from tokencredit.data.phrasing import ANSWER, closing, opening
from tokencredit.data.tasks import word_problems
from tokencredit.data.tasks.word_problems import SHORTCUT, WordProblem, decision, near, phrases, work

__all__ = [
    "KINDS_NEED_PROBLEM",
    "LARGEST",
    "TIERS",
    "careful_solution",
    "decision",
    "kinds",
    "make_problem",
    "phrases",
    "sample_solution",
]

LARGEST, TIERS = word_problems.LARGEST, word_problems.TIERS
KINDS_NEED_PROBLEM = False

# Shares of the pretraining solutions.
SHORTCUT_SHARE = 0.3
EXIT_SHARE = 0.05  # of careful solutions, after each step but the last
GUESS_RIGHT = 0.4  # of the results that are not worked out
WRONG_STEP = 0.1  # of the worked steps: what training can gain


@dataclass(frozen=True)
class ResultsProblem(WordProblem):
    """A word problem whose answer is the result of each step, in order."""

    @property
    def answer(self) -> str:
        return ", ".join(map(str, self.results))


def make_problem(tier: int, rng: random.Random) -> ResultsProblem:
    """A random problem, as ``word_problems.make_problem`` draws it."""
    problem = word_problems.make_problem(tier, rng)
    return ResultsProblem(problem.text, problem.tier, problem.start, problem.steps)


def sample_solution(problem: ResultsProblem, rng: random.Random) -> str:
    """A solution as the pretraining texts hold them."""
    if rng.random() < SHORTCUT_SHARE:
        return opening(rng) + rng.choice(SHORTCUT) + _boxed(problem, [], rng)
    return careful_solution(problem, rng, mistakes=True)


def careful_solution(problem: ResultsProblem, rng: random.Random, mistakes: bool) -> str:
    """Every step in order; with ``mistakes`` some steps are wrong (and are built upon) and some solutions leave early with guesses."""
    text, worked = work(problem, rng, *((EXIT_SHARE, WRONG_STEP) if mistakes else (0, 0)))
    return text + _boxed(problem, worked, rng)


def kinds(tokens: Sequence[str], problem: str) -> list[str]:
    """What each token of a response does: ``phrasing.kinds``, and answer: every number in the box."""
    found, boxed = phrasing.kinds(tokens), False
    for place, token in enumerate(tokens):
        boxed = boxed or token.endswith("{")
        if boxed and token.strip().isdecimal():
            found[place] = ANSWER
    return found


def _boxed(problem: ResultsProblem, worked: list[int], rng: random.Random) -> str:
    """The end of a solution: what was worked out, and a guess of each result that was not."""
    guessed = [each if rng.random() < GUESS_RIGHT else near(each, rng) for each in problem.results[len(worked) :]]
    return closing(", ".join(map(str, [*worked, *guessed])), rng)
