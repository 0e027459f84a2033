"""The embedded task ``word-problems``: arithmetic word problems in three tiers of difficulty, with worked solutions.

- *Stylistic* forks: many equivalent openings, connectives and closings.
- *Strategic* forks: work through every step, or leave early and give an answer that is often wrong.
- Routine: copying numbers out of the problem. The results of a step lie between: their entropy is the model's doubt.

Tiers differ in their number of sentences, so their problems cannot overlap.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from tokencredit.data import phrasing
from tokencredit.data.phrasing import CONNECTIVES, closing, opening

Operator = Literal["+", "-", "x"]


@dataclass(frozen=True)
class Tier:
    """What makes a tier hard. Ranges include both ends."""

    operations: int
    start: tuple[int, int]
    change: tuple[int, int]
    factors: tuple[int, ...]
    largest: int
    distractors: int


LARGEST = 99  # of all numbers in problems and solutions
KINDS_NEED_PROBLEM = False

TIERS: dict[int, Tier] = {
    1: Tier(operations=2, start=(3, 20), change=(2, 9), factors=(2, 3), largest=60, distractors=0),
    2: Tier(operations=3, start=(5, 40), change=(2, 9), factors=(2, 3), largest=89, distractors=0),
    3: Tier(operations=5, start=(5, 40), change=(2, 9), factors=(2, 3), largest=89, distractors=1),
}

NAMES = ("Ana", "Ben", "Dan", "Eva", "Kim", "Leo", "Mia", "Tom")
THINGS = ("apples", "books", "cards", "coins", "cups", "pens", "shells", "stones")
STARTS = ("{who} has {n} {things}.", "{who} finds {n} {things}.", "{who} buys {n} {things}.")
CHANGES: dict[Operator, tuple[str, ...]] = {
    "+": (" {who} gets {n} more.", " Then {n} more come.", " {other} brings {n} more."),
    "-": (" {who} loses {n}.", " Then {n} are sold.", " {other} takes {n}."),
    "x": (" Then there are {n} times as many.",),
}
# Plain words for the two smallest factors.
TIMES = {2: (" Then the number doubles.",), 3: (" Then the number triples.",)}
DISTRACTORS = (" {other} is {n} years old.", " {other} also has {n} hats.")
QUESTIONS = (
    " How many {things} are there now?",
    " How many {things} does {who} have now?",
    " How many {things} in the end?",
)

CAREFUL = (" slowly:", " carefully:", " stepwise:")
SHORTCUT = (" quickly:", " roughly:", " clearly:")
_WAYS = {
    words.rstrip(":"): way for way, all_words in (("careful", CAREFUL), ("shortcut", SHORTCUT)) for words in all_words
}

# Solutions in ordinary English, which only `english_solution` writes: the words of the embedded models stay as they are.
ENGLISH_OPENINGS = (
    "We start with {n}.",
    "At first there are {n}.",
    "Let's work it out step by step. The number is {n} at first.",
    "The number at the beginning is {n}.",
)
ENGLISH_CONNECTIVES = ("Then", "Next", "Now", "After that")
ENGLISH_STEPS: dict[Operator, tuple[str, ...]] = {
    "+": ("adding {n} gives", "{n} more makes", "we add {n}:"),
    "-": ("taking away {n} leaves", "{n} less makes", "we subtract {n}:"),
    "x": ("multiplying by {n} gives", "{n} times as many is", "we multiply by {n}:"),
}
ENGLISH_CLOSINGS = (
    "So the answer is \\boxed{{{n}}}.",
    "Therefore there are \\boxed{{{n}}}.",
    "The answer is \\boxed{{{n}}}.",
)

# Shares of the pretraining solutions.
SHORTCUT_SHARE = 0.4
EXIT_SHARE = 0.1  # of careful solutions, after each step but the last
GUESS_RIGHT = 0.4  # of the answers given without working them out
WRONG_STEP = 0.02  # of the worked steps


@dataclass(frozen=True)
class Step:
    """One operation of a problem: ``left operator right``."""

    operator: Operator
    right: int

    def apply(self, left: int) -> int:
        return {"+": left + self.right, "-": left - self.right, "x": left * self.right}[self.operator]


@dataclass(frozen=True)
class WordProblem:
    """A problem's text and what it means."""

    text: str
    tier: int
    start: int
    steps: tuple[Step, ...]

    @property
    def results(self) -> list[int]:
        """What each step gives."""
        return list(accumulate(self.steps, lambda value, step: step.apply(value), initial=self.start))[1:]

    @property
    def answer(self) -> int | str:
        return self.results[-1]


def make_problem(tier: int, rng: random.Random) -> WordProblem:
    """A random problem; all intermediate results lie between 1 and the tier's largest number."""
    rule = TIERS[tier]
    who, other = rng.sample(NAMES, 2)
    things = rng.choice(THINGS)
    start = value = rng.randint(*rule.start)
    sentences, steps = [rng.choice(STARTS)], []
    numbers = [start]
    for _ in range(rule.operations):
        step = _possible_step(rule, value, rng)
        phrases = TIMES.get(step.right, CHANGES["x"]) if step.operator == "x" else CHANGES[step.operator]
        sentences.append(rng.choice(phrases))
        numbers.append(step.right)
        steps.append(step)
        value = step.apply(value)
    for _ in range(rule.distractors):
        place = rng.randint(1, len(sentences))
        sentences.insert(place, rng.choice(DISTRACTORS))
        numbers.insert(place, rng.randint(*rule.change))
    sentences.append(rng.choice(QUESTIONS))
    numbers.append(0)
    text = "".join(
        sentence.format(who=who, other=other, things=things, n=number)
        for sentence, number in zip(sentences, numbers, strict=True)
    )
    return WordProblem(text, tier, start, tuple(steps))


def _possible_step(rule: Tier, value: int, rng: random.Random) -> Step:
    """An operation whose result stays in the tier's range; additions and subtractions come up twice as often as multiplications."""
    while True:
        operator: Operator = rng.choice(("+", "+", "-", "-", "x"))
        step = Step(operator, rng.choice(rule.factors) if operator == "x" else rng.randint(*rule.change))
        if 1 <= step.apply(value) <= rule.largest:
            return step


def sample_solution(problem: WordProblem, rng: random.Random) -> str:
    """A solution as the pretraining texts hold them."""
    if rng.random() < SHORTCUT_SHARE:
        return opening(rng) + rng.choice(SHORTCUT) + closing(_guess(problem, rng), rng)
    return careful_solution(problem, rng, mistakes=True)


def careful_solution(problem: WordProblem, rng: random.Random, mistakes: bool) -> str:
    """Every step in order; with ``mistakes`` some steps are wrong (and are built upon) and some solutions leave early with a guess."""
    text, results = work(problem, rng, *((EXIT_SHARE, WRONG_STEP) if mistakes else (0, 0)))
    whole = len(results) == len(problem.steps)
    return text + closing(results[-1] if whole else _guess(problem, rng), rng)


def work(problem: WordProblem, rng: random.Random, exit_share: float, wrong_step: float) -> tuple[str, list[int]]:
    """A careful solution up to its answer, and the results in it, which are built upon: fewer than there are steps where it leaves early.

    ``exit_share``: how often it does, after each step but the last; ``wrong_step``: how often a step is wrong.
    """
    text = opening(rng) + rng.choice(CAREFUL)
    value, results = problem.start, []
    for index, step in enumerate(problem.steps):
        if exit_share and index and rng.random() < exit_share:
            break
        result = step.apply(value)
        if wrong_step and rng.random() < wrong_step:
            slip = near(result, rng)
            result = slip if _stays_in_range(slip, problem.steps[index + 1 :]) else result
        text += f"{rng.choice(CONNECTIVES)} {value} {step.operator} {step.right} = {result}."
        value = result
        results.append(result)
    return text, results


def english_solution(problem: WordProblem, rng: random.Random) -> str:
    """Every step in order and right, as ordinary text for a model that was pretrained on such: several ways to say each part."""
    text = rng.choice(ENGLISH_OPENINGS).format(n=problem.start)
    value = problem.start
    for step in problem.steps:
        result = step.apply(value)
        said = rng.choice(ENGLISH_STEPS[step.operator]).format(n=step.right)
        text += f" {rng.choice(ENGLISH_CONNECTIVES)}, {said} {value} {step.operator} {step.right} = {result}."
        value = result
    return f"{text} {rng.choice(ENGLISH_CLOSINGS).format(n=value)}".replace(" x ", " * ")


def phrases() -> list[str]:
    """Texts that hold every word and sign of the task; numbers are known anyway."""
    templates = [
        *STARTS,
        *(phrase for phrases in [*CHANGES.values(), *TIMES.values()] for phrase in phrases),
        *DISTRACTORS,
        *QUESTIONS,
        *CAREFUL,
        *SHORTCUT,
        *(f" {operator}" for operator in CHANGES),
        " =",
    ]
    told = (
        template.format(who=who, other=who, things=things, n=0)
        for template in templates
        for who in NAMES
        for things in THINGS
    )
    return [*told, *phrasing.phrases()]


def decision(token: str) -> str:
    """What a token decides: ``phrasing.decision``, and the way of working, whichever of its words."""
    return _WAYS.get(token) or phrasing.decision(token)


def kinds(tokens: Sequence[str], problem: str) -> list[str]:
    """What each token of a response does, by its place alone: ``phrasing.kinds``."""
    return phrasing.kinds(tokens)


def _guess(problem: WordProblem, rng: random.Random) -> int:
    """An answer that was not worked out: the right one at times, else what comes of forgetting one operation, or a number near it."""
    if rng.random() < GUESS_RIGHT:
        return problem.answer
    forgotten = rng.randrange(len(problem.steps))
    value = problem.start
    for index, step in enumerate(problem.steps):
        value = value if index == forgotten else step.apply(value)
    return value if 0 <= value <= LARGEST and value != problem.answer else near(problem.answer, rng)


def _stays_in_range(value: int, steps: tuple[Step, ...]) -> bool:
    """Whether every result lies between 0 and ``LARGEST``: the language of the task has no other numbers."""
    for step in steps:
        value = step.apply(value)
        if not 0 <= value <= LARGEST:
            return False
    return True


def near(number: int, rng: random.Random) -> int:
    """A wrong number of the kind that slips produce: off by one, two or ten."""
    return rng.choice([number + slip for slip in (-10, -2, -1, 1, 2, 10) if 0 <= number + slip <= LARGEST])
