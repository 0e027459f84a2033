"""Random batches with the shapes on which credit goes wrong: ragged, interleaved, level, tied, without variance."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.equations.batch import Batch, Response
from tests.equations.grpo import group_advantage

LEVELS = (0.1, 0.7, 1 / 3)
IDS = (11, 3, 42, 7)  # of prompts: neither sorted nor without gaps


@dataclass(frozen=True)
class Shape:
    """``groups``: one string per prompt, + for a right response, - for a wrong one; ``lengths``: of the responses, if not random.

    ``entropies``: "any", "level in each response", "level in the batch", "tied" (one of three values), "some 0". ``step0``: the current,
    the old and the reference policy are the same. ``advantages``: "group", or "other": on other scales, and one of them 0.
    """

    groups: tuple[str, ...]
    longest: int = 9
    lengths: tuple[int, ...] = ()
    entropies: str = "any"
    step0: bool = False
    advantages: str = "group"


SHAPES = {
    "ragged, interleaved": Shape(("+-+--", "-+", "+", "--+-")),
    "zero-variance groups": Shape(("+++", "---", "+-+-")),
    "zero variance everywhere": Shape(("+++", "--", "+")),
    "one response": Shape(("+",)),
    "one-token responses": Shape(("+-+", "-+--", "+-"), longest=1),
    "level responses": Shape(("+-+-", "-+-"), entropies="level in each response"),
    "level batch": Shape(("+-+-", "-+-", "+"), entropies="level in the batch"),
    "tied entropies": Shape(("+-+-", "-++"), entropies="tied"),
    "tokens without entropy": Shape(("+-+-", "-++"), entropies="some 0"),
    "before the first update": Shape(("+-+-", "-+-"), step0=True),
    "other advantages": Shape(("+-+-", "-+-"), advantages="other"),
    "one short right response": Shape(("+--", "-+"), lengths=(1, 15, 17, 4, 3)),
    "long": Shape(("+-+--+", "---+-+"), longest=25),
}


@contextmanager
def named(shape: str) -> Iterator[None]:
    """An assertion that fails within says on which batch."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"on the batch {shape!r}")
        raise


def make_batch(shape: str, seed: int) -> Batch:
    """A random batch of one of ``SHAPES`` with every optional column."""
    wanted = SHAPES[shape]
    dice = random.Random(f"{shape} {seed}")
    members = [(IDS[g], 1.0 if mark == "+" else -1.0) for g, marks in enumerate(wanted.groups) for mark in marks]
    lengths = list(wanted.lengths) or [dice.randint(1, wanted.longest) for _ in members]
    order = dice.sample(range(len(members)), len(members))
    members, lengths = [members[place] for place in order], [lengths[place] for place in order]
    advantages = group_advantage([reward for _, reward in members], [group for group, _ in members])
    if wanted.advantages == "other":
        advantages = [advantage * dice.uniform(0.01, 3) for advantage in advantages]
        advantages[dice.randrange(len(advantages))] = 0.0
    level, scale = single(dice.choice(LEVELS)), dice.choice((0.2, 1.0))
    responses: list[Response] = []
    values: dict[int, float] = {}  # equal states have equal ones
    known: dict[int, float] = {}
    for (group, reward), advantage, length in zip(members, advantages, lengths, strict=True):
        if wanted.entropies == "level in each response":
            level = single(dice.choice(LEVELS))
        old = [-dice.expovariate(1.0) - 1e-3 for _ in range(length)]
        states = _states(dice, group, length)
        unmoved = wanted.step0 or wanted.entropies == "level in the batch"
        responses.append(
            Response(
                group=group,
                reward=reward,
                advantage=advantage,
                entropy=[_entropy(dice, wanted.entropies, level, scale) for _ in range(length)],
                old_logprob=old,
                logprob=list(old) if wanted.step0 else _near(dice, old, 0.4),
                ref_logprob=list(old) if wanted.step0 else _near(dice, old, 0.8),
                rollout_logprob=_near(dice, old, 0.5),
                teacher_logprob=_near(dice, old, 1.0),
                privileged_logprob=_near(dice, old, 1.0),
                privileged_entropy=[_entropy(dice, wanted.entropies, level, scale) for _ in range(length)],
                contrast_logprob=_near(dice, old, 1.0),
                residual_norm=[0.0 if unmoved else dice.random() for _ in range(length)],
                attention_entropy=[_entropy(dice, wanted.entropies, level, scale) / 2 for _ in range(length)],
                hidden=[_state(dice, wanted.entropies) for _ in range(length)],
                uniqueness=[_entropy(dice, wanted.entropies, level, scale) / 3 for _ in range(length)],
                noise=[dice.random() for _ in range(length)],
                value=[values.setdefault(state, dice.choice((0.0, 1.0, dice.random()))) for state in states],
                information=[known.setdefault(state, 0.0 if unmoved else dice.uniform(-0.05, 0.5)) for state in states],
                state=states,
                response_step=_steps(dice, length),
                kind=[dice.randrange(7) for _ in range(length)],
                begun=[length // 2] * length if group != IDS[0] else [0] * length,
            )
        )
    history = [dice.choice((0.2, dice.uniform(0.0, 0.5))) for _ in range(dice.randrange(80))]
    return Batch(responses, dice.choice((0.0, 0.5, dice.random(), dice.random())), history)


def _states(dice: random.Random, group: int, length: int) -> list[int]:
    """A group's responses share their first states, and then one of two ways or none."""
    shared = dice.randint(1, 4)
    way = dice.choice((0, 1000, dice.randrange(10**6, 10**7) * 1000))
    return [group * 10**11 + (way if place >= shared else 0) + place for place in range(length)]


def _state(dice: random.Random, kind: str) -> list[float]:
    """Three numbers; one of two states where entropies are tied, and nothing at all where they are level in the batch."""
    if kind == "level in the batch":
        return [0.0] * 3
    if kind == "tied":
        return dice.choice([[1.0, -0.5, 0.25], [0.0, 1.0, 1.0]])
    return [single(dice.gauss(0, 1)) for _ in range(3)]


def _steps(dice: random.Random, length: int) -> list[int]:
    """The first token's step is 0; every third begins another."""
    steps = [0]
    while len(steps) < length:
        steps.append(steps[-1] + (dice.random() < 0.3))
    return steps


def single(number: float) -> float:
    """The nearest float32: in this precision a scoring pass hands entropies over."""
    return struct.unpack("f", struct.pack("f", number))[0]


def _entropy(dice: random.Random, kind: str, level: float, scale: float) -> float:
    """In [0, 2] nats, small ones more often."""
    if kind.startswith("level"):
        return level
    if kind == "tied":
        return single(dice.choice(LEVELS))
    if kind == "some 0" and dice.random() < 0.3:
        return 0.0
    return single(2 * scale * dice.random() ** 3)


def _near(dice: random.Random, logprob: list[float], width: float) -> list[float]:
    """Another policy's log-probabilities of the same tokens."""
    return [-abs(own + dice.gauss(0, width)) for own in logprob]
