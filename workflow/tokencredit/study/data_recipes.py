"""The search of a study for a data recipe: which searches, and which recipes its table compares, under which search seeds."""

from __future__ import annotations

from dataclasses import dataclass

from tokencredit.config import Study
from tokencredit.config.data_recipe_keys import ALONE, ALONE_OPERATORS, FULL, RANDOM_ROWS


@dataclass(frozen=True)
class Tuned:
    """A line of the table under one search seed: a recipe that is trained on and tested.

    ``searches``: those whose histories say which recipe it is.
    """

    line: str
    seed: int
    searches: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.line}/seed{self.seed}"


def searches(study: Study) -> list[tuple[str, int]]:
    """Every search of a study with its seeds."""
    recipe = study.data_recipe
    return [(name, seed) for name in recipe.searches for seed in recipe.seeds] if recipe else []


def tuned(study: Study) -> list[Tuned]:
    """The recipes that are tested: winners, as many random rows as the first search's winner has, the whole pool, the study's own recipes.

    Each operator alone, and the sources one by one, under the first search seed only.
    """
    recipe = study.data_recipe
    if recipe is None:
        return []
    return [
        *(Tuned(name, seed, (name,)) for name, seed in searches(study)),
        *(Tuned(RANDOM_ROWS, seed, (recipe.searches[0],)) for seed in recipe.seeds),
        *(Tuned(name, seed) for name in (FULL, *recipe.recipes) for seed in recipe.seeds),
        *(Tuned(f"{ALONE}{name}", recipe.seeds[0]) for name in ALONE_OPERATORS),
    ]


def titles(study: Study) -> dict[str, str]:
    """The lines of the table, each with what a reader is told, in their order."""
    recipe = study.data_recipe
    known = {
        "gp": "Search, Gaussian process",
        "random": "Search, any of the proposals",
        "first": "Search, first of the proposals",
        "random-recipes": "Random recipes, as many",
        RANDOM_ROWS: "Random rows, as many as the winner",
        FULL: "Whole pool",
        **{name: f"Recipe: {name}" for name in recipe.recipes},
    }
    return {
        each.line: known.get(each.line) or f"Alone: {each.line.removeprefix(ALONE).replace('-', ' ')}"
        for each in tuned(study)
    }
