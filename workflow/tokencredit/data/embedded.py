"""The embedded task: arithmetic word problems in three tiers of difficulty, with worked solutions that hold three kinds of tokens.

- *Stylistic* forks: many equivalent openings, connectives and closings. High entropy, no credit.
- *Strategic* forks: work through every step, or leave early and give an answer that is often wrong. High entropy, real credit.
- Routine: copying numbers out of the problem. Low entropy. The results of a step lie between: their entropy is the model's doubt.

A number is one token, from 0 to ``LARGEST``: a model of a million parameters learns its sums as facts within two minutes.

Everything derives from seeds. A problem belongs to exactly one split by a hash of its text, so test problems can overlap neither the
problems of pretraining nor those of RL training, whatever the seeds; tiers differ in their number of sentences, so they cannot overlap.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from tokencredit.errors import UserError
from tokencredit.seeds import derive_seed

Split = Literal["pretrain", "train", "test"]
Operator = Literal["+", "-", "x"]

# Tenths of all texts: enough test problems, and most of the texts for pretraining.
_SPLIT_OF_TENTH: tuple[Split, ...] = ("test", "train", "train", "train", *("pretrain",) * 6)


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

OPENINGS = ("Okay", "Right", "Sure", "Well", "Hmm", "Good", "Fine", "Yes")
PAUSES = (".", "!", ",")
CAREFUL = (" slowly:", " carefully:", " stepwise:")
SHORTCUT = (" quickly:", " roughly:", " clearly:")
CONNECTIVES = (" Then", " Next", " Now", " Here", " And")
CLOSINGS = (" So the answer is", " The answer is", " Answer:", " Result:", " In total", " Altogether")
BOXED = " \\boxed{{ {n}}}"

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
    def answer(self) -> int:
        value = self.start
        for step in self.steps:
            value = step.apply(value)
        return value


def generate_problems(tiers: list[int], rows: int, seed: int, split: Split) -> pd.DataFrame:
    """``rows`` different problems of ``split``, tiers in turn, with the columns of ``problems.parquet``.

    ``solution`` is one careful, correct worked solution; ``level`` is the tier. Raises ``UserError`` where a tier does not exist.
    """
    problems = sample_problems(tiers, rows, seed, split)
    return pd.DataFrame(
        {
            "problem_id": [f"{split}-{seed}-{index:06d}" for index in range(rows)],
            "problem": [problem.text for problem in problems],
            "answer": [str(problem.answer) for problem in problems],
            "source": "embedded",
            "level": [str(problem.tier) for problem in problems],
            "solution": [
                careful_solution(
                    problem, random.Random(derive_seed("embedded solution", seed, problem.text)), mistakes=False
                )
                for problem in problems
            ],
        }
    )


def pretraining_texts(tiers: list[int], rows: int, seed: int) -> list[tuple[str, str]]:
    """(problem, solution) pairs of the pretraining split; solutions are careful, wrong in places, or shortcuts, as the shares say."""
    return [
        (problem.text, sample_solution(problem, random.Random(derive_seed("embedded solution", seed, problem.text))))
        for problem in sample_problems(tiers, rows, seed, "pretrain")
    ]


def sample_problems(tiers: list[int], rows: int, seed: int, split: Split) -> list[WordProblem]:
    """``rows`` problems of ``split`` with different texts; the tiers take turns, and a tier listed twice comes twice as often."""
    for tier in tiers:
        if tier not in TIERS:
            raise UserError(f"tiers: {tier} is not a tier of the embedded task; allowed: {', '.join(map(str, TIERS))}.")
    problems: dict[str, WordProblem] = {}
    attempt = 0
    while len(problems) < rows:
        tier = tiers[len(problems) % len(tiers)]
        problem = make_problem(tier, random.Random(derive_seed("embedded problem", seed, split, attempt)))
        attempt += 1
        if split_of(problem.text) == split:
            problems.setdefault(problem.text, problem)
        if attempt > 1000 + 100 * rows:
            raise UserError(f"rows = {rows}: tier {tier} of the embedded task has not so many different problems.")
    return list(problems.values())


def split_of(text: str) -> Split:
    """The one split that a problem belongs to, by a hash of its text."""
    return _SPLIT_OF_TENTH[derive_seed("embedded split", text) % len(_SPLIT_OF_TENTH)]


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
        return _opening(rng) + rng.choice(SHORTCUT) + _closing(_guess(problem, rng), rng)
    return careful_solution(problem, rng, mistakes=True)


def careful_solution(problem: WordProblem, rng: random.Random, mistakes: bool) -> str:
    """Every step in order; with ``mistakes`` some steps are wrong (and are built upon) and some solutions leave early with a guess."""
    text = _opening(rng) + rng.choice(CAREFUL)
    value = problem.start
    for index, step in enumerate(problem.steps):
        if mistakes and index and rng.random() < EXIT_SHARE:
            return text + _closing(_guess(problem, rng), rng)
        result = step.apply(value)
        if mistakes and rng.random() < WRONG_STEP:
            slip = _near(result, rng)
            result = slip if _stays_in_range(slip, problem.steps[index + 1 :]) else result
        text += f"{rng.choice(CONNECTIVES)} {value} {step.operator} {step.right} = {result}."
        value = result
    return text + _closing(value, rng)


def _opening(rng: random.Random) -> str:
    return rng.choice(OPENINGS) + rng.choice(PAUSES)


def _closing(number: int, rng: random.Random) -> str:
    return rng.choice(CLOSINGS) + BOXED.format(n=number)


def _guess(problem: WordProblem, rng: random.Random) -> int:
    """An answer that was not worked out: the right one at times, else what comes of forgetting one operation, or a number near it."""
    if rng.random() < GUESS_RIGHT:
        return problem.answer
    forgotten = rng.randrange(len(problem.steps))
    value = problem.start
    for index, step in enumerate(problem.steps):
        value = value if index == forgotten else step.apply(value)
    return value if 0 <= value <= LARGEST and value != problem.answer else _near(problem.answer, rng)


def _stays_in_range(value: int, steps: tuple[Step, ...]) -> bool:
    """Whether every result lies between 0 and ``LARGEST``: the language of the task has no other numbers."""
    for step in steps:
        value = step.apply(value)
        if not 0 <= value <= LARGEST:
            return False
    return True


def _near(number: int, rng: random.Random) -> int:
    """A wrong number of the kind that slips produce: off by one, two or ten."""
    return rng.choice([number + slip for slip in (-10, -2, -1, 1, 2, 10) if 0 <= number + slip <= LARGEST])
