"""The embedded task ``graph-paths``: the length of the only way from one place to another, with worked solutions that walk it.

A problem lists one-way roads with their lengths in random order, a start and a goal: "Roads: KC 7, EK 1, CI 9, CD 4. From E to I?" The
roads branch and never meet again, so exactly one way leads to the goal; the others end where no road leads on. A road is one token, as a
number is, and has the same length in every problem: a model of a million parameters learns to find the road that goes on from here, and
the lengths as facts, within the batches that it is given. Which roads there are, and so which way is right, is new in each problem.

- *Stylistic* forks: many equivalent openings, connectives and closings.
- *Strategic* forks: look ahead, or take any road; go on, or leave early. Above all which road to take where there are several: a solution
  never turns back, so that a wrong one cannot be repaired.
- Routine: copying places and lengths out of the problem, and adding up.

Tiers differ in their number of forks, so their problems cannot overlap.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

from tokencredit.data import phrasing
from tokencredit.data.phrasing import CONNECTIVES, closing, opening
from tokencredit.seeds import derive_seed


@dataclass(frozen=True)
class Tier:
    """What makes a tier hard. Ranges include both ends.

    ``path``: roads from start to goal. ``forks``: places on it from which ``ways`` roads lead on. ``depth``: most roads from a fork to the
    end of a wrong way, which is never farther from it than the goal.
    """

    path: tuple[int, int]
    forks: int
    ways: int
    depth: int


LARGEST = 99  # of all numbers in problems and solutions
KINDS_NEED_PROBLEM = True

TIERS: dict[int, Tier] = {
    1: Tier(path=(3, 3), forks=1, ways=2, depth=1),
    2: Tier(path=(3, 4), forks=2, ways=2, depth=2),
    3: Tier(path=(4, 5), forks=3, ways=2, depth=2),
}

PLACES = "ABCDEFGHIJKL"
LENGTHS = range(1, 10)
ROADS = "Roads:{roads}. From {start} to {goal}?"
# In a problem: the place that a road leaves, and the start.
_LEAVING, _START = r" ([A-Z])[A-Z]\b", r" From ([A-Z]) to"

CAREFUL = (" slowly:", " carefully:", " patiently:")
HASTY = (" quickly:", " blindly:", " boldly:")
_WAYS = {words.rstrip(":"): way for way, all_words in (("careful", CAREFUL), ("hasty", HASTY)) for words in all_words}

BRANCH = "branch"  # the kind of a token that chooses a road

# Shares of the pretraining solutions.
HASTY_SHARE = 0.4
WRONG_TURN = 0.1  # of the forks that a careful solution meets
EXIT_SHARE = 0.03  # after each step, whether or not a road leads on
WRONG_SUM = 0.01  # of the steps


@dataclass(frozen=True)
class PathProblem:
    """A problem's text and what it means: ``roads`` [place][next place] is a length, ``path`` the places from start to goal."""

    text: str
    tier: int
    roads: dict[str, dict[str, int]]
    path: tuple[str, ...]

    @property
    def answer(self) -> int:
        return sum(self.roads[here][there] for here, there in pairwise(self.path))


def make_problem(tier: int, rng: random.Random) -> PathProblem:
    """A random problem: the way to the goal, wrong ways from some of its places, and the roads of all of them shuffled."""
    rule = TIERS[tier]
    unused = iter(rng.sample(PLACES, len(PLACES)))
    length = rng.randint(*rule.path)
    path = [next(unused) for _ in range(length + 1)]
    pairs = list(pairwise(path))
    for fork in rng.sample(range(length), rule.forks):
        for _ in range(rule.ways - 1):
            wrong = rng.randint(1, min(rule.depth, length - fork))
            pairs += pairwise([path[fork], *(next(unused) for _ in range(wrong))])
    rng.shuffle(pairs)
    roads: dict[str, dict[str, int]] = {}
    for here, there in pairs:
        roads.setdefault(here, {})[there] = length_of(here, there)
    listed = ",".join(f" {here}{there} {roads[here][there]}" for here, there in pairs)
    return PathProblem(ROADS.format(roads=listed, start=path[0], goal=path[-1]), tier, roads, tuple(path))


def length_of(here: str, there: str) -> int:
    """The length of the road from one place to another, the same in every problem."""
    return LENGTHS[derive_seed("embedded road", here, there) % len(LENGTHS)]


def sample_solution(problem: PathProblem, rng: random.Random) -> str:
    """A solution as the pretraining texts hold them."""
    if rng.random() < HASTY_SHARE:
        return _walk(problem, rng, HASTY, wrong_turn=1.0, slips=True)
    return careful_solution(problem, rng, mistakes=True)


def careful_solution(problem: PathProblem, rng: random.Random, mistakes: bool) -> str:
    """The way to the goal; with ``mistakes`` some turns and some sums are wrong (and are built upon) and some solutions leave early."""
    return _walk(problem, rng, CAREFUL, wrong_turn=WRONG_TURN if mistakes else 0.0, slips=mistakes)


def phrases() -> list[str]:
    """Texts that hold every word and sign of the task; numbers are known anyway."""
    return [
        *(ROADS.format(roads=f" {here}{there},", start=here, goal=there) for here, there in permutations(PLACES, 2)),
        *(mode + _step("A", "B", 0, 0) for mode in (*CAREFUL, *HASTY)),
        *phrasing.phrases(),
    ]


def decision(token: str) -> str:
    """What a token decides: ``phrasing.decision``, and the way of working, whichever of its words."""
    return _WAYS.get(token) or phrasing.decision(token)


def kinds(tokens: Sequence[str], problem: str) -> list[str]:
    """What each token of a response does: ``phrasing.kinds``, and branch: the next road, where the problem offers more than one."""
    found = phrasing.kinds(tokens)
    for place in _branches(tokens, problem):
        found[place] = BRANCH
    return found


def _branches(tokens: Sequence[str], problem: str) -> list[int]:
    """Where a solution chooses a road: after the word that begins a step, at a place that more than one road of the problem leaves."""
    leaving = re.findall(_LEAVING, problem)
    (here,) = re.findall(_START, problem)
    found = []
    for place, (before, road) in enumerate(pairwise(tokens), start=1):
        if before in CONNECTIVES:
            if leaving.count(here) > 1:
                found.append(place)
            here = road[-1:]
    return found


def _walk(problem: PathProblem, rng: random.Random, modes: tuple[str, ...], wrong_turn: float, slips: bool) -> str:
    """A walk that ends where no road leads on; ``wrong_turn``: how often any road at all is taken at a fork, the right one among them."""
    text = opening(rng) + rng.choice(modes)
    onward = dict(pairwise(problem.path))
    here, total = problem.path[0], 0
    while here in problem.roads and not (slips and total and rng.random() < EXIT_SHARE):
        ways = list(problem.roads[here])
        there = rng.choice(ways) if here not in onward or rng.random() < wrong_turn else onward[here]
        length = problem.roads[here][there]
        total += length + (slips and rng.random() < WRONG_SUM)
        text += rng.choice(CONNECTIVES) + _step(here, there, length, total)
        here = there
    return text + closing(total, rng)


def _step(here: str, there: str, length: int, total: int) -> str:
    """A road, its length, and how far its end is from the start."""
    return f" {here}{there} {length} makes {total}."
