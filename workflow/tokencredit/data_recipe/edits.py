"""Recipes to try: probes of every size, any recipe, the local edits of one, and a new one from what operators were worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

from tokencredit.config.data_recipe_keys import (
    DropSource,
    ExactDuplicates,
    Filter,
    NearDuplicates,
    RandomRows,
    Step,
)
from tokencredit.data_recipe.operators import SIGNALS, Steps, slot

if TYPE_CHECKING:
    import numpy as np

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9)
SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9)
# Shares of the pool that the probes aim at, in turn; and how far each of their steps may lie off (arXiv 2605.12944's code).
ZONES = ((0.60, 0.70), (0.30, 0.50), (0.05, 0.15))
_JITTER = (0.92, 1.08)
APART = 0.1  # of the rows of two recipes: as far as they must differ to be two


@dataclass(frozen=True)
class Space:
    """What recipes are made of: the sources that a pool has, and the most operators."""

    sources: tuple[str, ...]
    longest: int

    @property
    def steps(self) -> list[Step]:
        """Every operator with each of its parameters."""
        return [
            *(
                Filter(operator=signal, keep=keep, fraction=fraction)
                for signal in SIGNALS
                for keep in ("high", "low")
                for fraction in FRACTIONS
            ),
            *(RandomRows(operator="random", fraction=fraction) for fraction in FRACTIONS),
            ExactDuplicates(operator="exact-duplicates"),
            *(NearDuplicates(operator="near-duplicates", similarity=similarity) for similarity in SIMILARITIES),
            # A pool of one source would have nothing left.
            *(DropSource(operator="drop-source", source=name) for name in self.sources if len(self.sources) > 1),
        ]


def probe(number: int, space: Space, rng: np.random.Generator) -> Steps:
    """The warm-up's recipe ``number``: random rows and one to three filters that keep about a share of the pool, of a zone in turn."""
    target = rng.uniform(*ZONES[number % len(ZONES)])
    signals = rng.permutation(SIGNALS)[: rng.integers(1, min(3, max(1, space.longest - 1)) + 1)]
    fractions = target ** (1 / (1 + len(signals))) * rng.uniform(*_JITTER, size=1 + len(signals))
    first, *others = (round(float(min(1.0, fraction)), 3) for fraction in fractions)
    filters = [
        Filter(operator=str(signal), keep=str(rng.choice(("high", "low"))), fraction=fraction)
        for signal, fraction in zip(signals, others, strict=True)
    ]
    return (RandomRows(operator="random", fraction=first), *filters)[: space.longest]


def any_recipe(space: Space, rng: np.random.Generator) -> Steps:
    """One to ``longest`` operators, any of them with any parameter, in any order."""
    by_slot: dict[str, list[Step]] = {}
    for step in space.steps:
        by_slot.setdefault(slot(step), []).append(step)
    length = int(rng.integers(1, min(space.longest, len(by_slot)) + 1))
    chosen = rng.choice(sorted(by_slot), size=length, replace=False)
    return tuple(by_slot[name][int(rng.integers(len(by_slot[name])))] for name in chosen)


def local_edits(recipe: Steps, space: Space) -> dict[str, list[Steps]]:
    """Every recipe that is one edit away, by kind: an operator added at the end, taken out, retuned, or swapped with the next."""
    held = {slot(step) for step in recipe}
    room = len(recipe) < space.longest
    return {
        "insert": [(*recipe, step) for step in space.steps if room and slot(step) not in held],
        "delete": [recipe[:place] + recipe[place + 1 :] for place in range(len(recipe))],
        "retune": [
            (*recipe[:place], step, *recipe[place + 1 :])
            for place, old in enumerate(recipe)
            for step in space.steps
            if slot(step) == slot(old) and step != old
        ],
        "swap": [
            (*recipe[:place], recipe[place + 1], recipe[place], *recipe[place + 2 :])
            for place in range(len(recipe) - 1)
        ],
    }


def proposals(
    edits: dict[str, list[Steps]],
    count: int,
    rows_of: Callable[[Steps], np.ndarray],
    parent_rows: int,
    taken: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> list[Steps]:
    """``count`` of the ``edits`` at random, kinds in turn, each with rows that are ``unlike`` those ``taken`` and those of the others.

    One of them keeps more rows than the ``parent_rows`` of what is edited, if any edit does. Fewer where there are no more.
    """
    found = _new(_in_turn(edits, rng), rows_of, taken)
    chosen = list(islice(found, count))
    if chosen and all(rows <= parent_rows for _, rows in chosen):
        chosen[-1] = next((other for other in found if other[1] > parent_rows), chosen[-1])
    return [recipe for recipe, _ in chosen]


def unlike(rows: np.ndarray, others: Iterable[np.ndarray]) -> bool:
    """Whether a recipe keeps rows, and differs from each of the ``others`` in at least ``APART`` of the rows that either keeps.

    What differs in a few rows trains nearly the same model, and its score tells nothing new.
    """
    own = set(rows.tolist())
    return bool(own) and all(
        len(own ^ set(other.tolist())) >= APART * len(own | set(other.tolist())) for other in others
    )


def _new(
    recipes: Iterator[Steps], rows_of: Callable[[Steps], np.ndarray], taken: Sequence[np.ndarray]
) -> Iterator[tuple[Steps, int]]:
    """Those whose rows are unlike all before; each with the number of its rows."""
    seen = list(taken)
    for recipe in recipes:
        rows = rows_of(recipe)
        if unlike(rows, seen):
            seen.append(rows)
            yield recipe, len(rows)


def _in_turn(edits: dict[str, list[Steps]], rng: np.random.Generator) -> Iterator[Steps]:
    """All edits, each kind in random order, one of each kind in turn."""
    shuffled = {kind: [recipes[place] for place in rng.permutation(len(recipes))] for kind, recipes in edits.items()}
    shuffled["insert"] = _operators_in_turn(shuffled["insert"])
    for each in zip_longest(*shuffled.values()):
        yield from (recipe for recipe in each if recipe is not None)


def _operators_in_turn(inserted: list[Steps]) -> list[Steps]:
    """Every added operator once before any comes again, however many parameters it has."""
    before: Counter[str] = Counter()
    turns = []
    for recipe in inserted:
        name = slot(recipe[-1])
        turns.append(before[name])
        before[name] += 1
    return [recipe for _, recipe in sorted(zip(turns, inserted, strict=True), key=lambda entry: entry[0])]


def operator_credit(changes: Sequence[tuple[Steps, Steps, float]]) -> dict[str, float]:
    """By slot the mean credit of its step: the change of score from parent to child, shared among the steps in which they differ.

    ``changes``: (parent, child, score of the child less that of the parent). A step that was taken out has the change with its sign turned.
    """
    shares: dict[str, list[float]] = {}
    for parent, child, change in changes:
        came, went = set(child) - set(parent), set(parent) - set(child)
        for steps, sign in ((came, 1), (went, -1)):
            for step in steps:
                shares.setdefault(slot(step), []).append(sign * change / len(came | went))
    return {name: sum(own) / len(own) for name, own in shares.items()}


def reseeded(credit: dict[str, float], scored: Sequence[tuple[Steps, float]], longest: int) -> Steps:
    """A recipe of the one to three operators, random rows aside, of highest positive credit, or of the highest where none is positive.

    Each with its parameter in the best recipe of ``scored`` (recipe, score) that holds it. Empty where no operator has credit.
    """
    ranked = sorted((name for name in credit if name != "random"), key=lambda name: (-credit[name], name))
    chosen = [name for name in ranked if credit[name] > 0][: min(3, longest)] or ranked[:1]
    best = sorted(scored, key=lambda entry: -entry[1])
    return tuple(next(step for recipe, _ in best for step in recipe if slot(step) == name) for name in chosen)
