"""What a search evaluates next: a function of what it has evaluated, so that a search that was killed goes on where it stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokencredit.config import DataRecipe
from tokencredit.data_recipe import edits
from tokencredit.data_recipe.edits import Space
from tokencredit.data_recipe.operators import Pool, Steps, execute, state
from tokencredit.data_recipe.ranking import RANKERS, Point, Scene
from tokencredit.errors import UserError
from tokencredit.seeds import derive_seed, generator

PROBE, EDIT, RESEED, ANY = "probe", "edit", "reseed", "any"
_TRIES = 1000  # draws of a random recipe until one keeps other rows than all before


@dataclass(frozen=True)
class Decision:
    """The recipe to evaluate next, as which ``kind`` of attempt; ``parent``: the evaluation that it is an edit of.

    ``candidates``: what it was chosen from, with the Gaussian process's beliefs where the ranker asked it.
    """

    kind: str
    recipe: Steps
    parent: int | None = None
    candidates: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """A recipe that was trained on and scored. ``score``: share of right responses to the validation problems."""

    decision: Decision
    rows: np.ndarray
    state: dict[str, float]
    score: float

    @property
    def recipe(self) -> Steps:
        return self.decision.recipe


class Search:
    """One search for a data recipe: ``name`` of ``searches`` under ``seed``."""

    def __init__(self, name: str, seed: int, settings: DataRecipe, pool: Pool) -> None:
        self.name, self.seed, self.settings, self.pool = name, seed, settings, pool
        self.space = Space(tuple(pool.sources), settings.longest)

    def decide(self, history: Sequence[Evaluation]) -> Decision:
        """The next recipe (arXiv 2605.12944, Algorithm 1): probes, then edits of the best recipe, begun anew after ``patience`` failures.

        A search also begins anew where no edit is left whose rows are unlike all before, and then takes any recipe where that cannot be.
        Probes are the same for all rankers of a seed. Under ``random-recipes`` any recipe is next. ``UserError`` where no recipe is left
        whose rows are unlike all before.
        """
        number = len(history)
        if self.name == "random-recipes":
            return self._any(history)
        if number < self.settings.probes:
            return Decision(
                PROBE, self._unseen(history, "probe", lambda rng: edits.probe(number, self.space, rng), shared=True)
            )
        parent, failures = standing(history, self.settings.probes)
        if failures < self.settings.patience and (edited := self._edited(history, parent)) is not None:
            return edited
        if (begun := self._begun_anew(history)) is not None:
            return Decision(RESEED, begun)
        return self._edited(history, parent) or self._any(history)

    def rows(self, recipe: Steps) -> np.ndarray:
        """The rows of the pool that ``recipe`` keeps."""
        return execute(recipe, self.pool, self.seed)

    def _any(self, history: Sequence[Evaluation]) -> Decision:
        return Decision(ANY, self._unseen(history, "recipe", lambda rng: edits.any_recipe(self.space, rng)))

    def _edited(self, history: Sequence[Evaluation], parent: int) -> Decision | None:
        """An edit of ``parent``; None where none keeps rows unlike those before."""
        rng = generator(self.seed, "data recipe", self.name, "edits", len(history))
        chosen = edits.proposals(
            edits.local_edits(history[parent].recipe, self.space),
            self.settings.proposals,
            self.rows,
            len(history[parent].rows),
            [each.rows for each in history],
            rng,
        )
        if not chosen:
            return None
        scene = Scene(
            history=[Point(each.recipe, each.state, each.score) for each in history],
            candidates=[Point(recipe, state(self.rows(recipe), self.pool)) for recipe in chosen],
            sources=self.pool.sources,
            exploration=self.settings.exploration,
            seed=derive_seed(self.seed, "data recipe", self.name, "ranking", len(history)),
        )
        place = RANKERS[self.name](scene)
        return Decision(EDIT, chosen[place], parent, _told(scene, place))

    def _begun_anew(self, history: Sequence[Evaluation]) -> Steps | None:
        """A recipe of the operators that were worth most, retuned until its rows are unlike all before; None where that cannot be."""
        changes = [
            (history[each.decision.parent].recipe, each.recipe, each.score - history[each.decision.parent].score)
            for each in history
            if each.decision.parent is not None
        ]
        scored = [(each.recipe, each.score) for each in history]
        seed_recipe = edits.reseeded(edits.operator_credit(changes), scored, self.space.longest)
        rng = generator(self.seed, "data recipe", self.name, "reseed", len(history))
        tuned = edits.local_edits(seed_recipe, self.space)["retune"]
        for recipe in (seed_recipe, *(tuned[place] for place in rng.permutation(len(tuned)))):
            if recipe and edits.unlike(self.rows(recipe), [each.rows for each in history]):
                return recipe
        return None

    def _unseen(self, history: Sequence[Evaluation], what: str, draw: Any, shared: bool = False) -> Steps:
        """A drawn recipe whose rows are unlike all before. ``shared``: the same draw in every search of the seed."""
        rng = generator(self.seed, "data recipe", "" if shared else self.name, what, len(history))
        for _ in range(_TRIES):
            recipe = draw(rng)
            if edits.unlike(self.rows(recipe), [each.rows for each in history]):
                return recipe
        raise UserError(
            f"data_recipe: {_TRIES} random recipes keep no rows unlike those of the {len(history)} before; the pool is too small."
        )


def standing(history: Sequence[Evaluation], probes: int) -> tuple[int, int]:
    """The evaluation that is edited next, and how many edits since have not been better.

    It is the best probe, then each edit that is better than it, and any recipe with which the search began anew.
    """
    parent = max(range(probes), key=lambda place: history[place].score)
    failures = 0
    for place in range(probes, len(history)):
        if history[place].decision.kind == RESEED or history[place].score > history[parent].score:
            parent, failures = place, 0
        else:
            failures += 1
    return parent, failures


def _told(scene: Scene, place: int) -> list[dict[str, Any]]:
    """The candidates as they are recorded; beliefs only if the ranker asked for them."""
    asked = "beliefs" in vars(scene)
    found = []
    for index, point in enumerate(scene.candidates):
        entry: dict[str, Any] = {
            "recipe": [step.model_dump() for step in point.recipe],
            "retained": point.state["retained"],
            "chosen": index == place,
        }
        if asked:
            mean, deviation = scene.beliefs
            entry |= {"mean": float(mean[index]), "deviation": float(deviation[index])}
        found.append(entry)
    return found
