"""Every key of a study's ``data_recipe``: the pool, what a data recipe is made of, and the search for one."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from tokencredit.config.common_keys import BenchmarkUse, distinct
from tokencredit.config.keys import (
    SHA256,
    Count,
    Name,
    NonNegative,
    Positive,
    Rate,
    Share,
    Strict,
    Tier,
)

SearchName = Literal["gp", "random", "first", "random-recipes"]
Signal = Literal["ifd", "varentropy", "word-entropy", "relevance"]
# Lines of the table that every search has; a recipe of the study needs another name.
FULL, RANDOM_ROWS, ALONE = "full", "random-rows", "alone-"


# ---------------------------------------------------------------- operators


class Filter(Strict):
    """A step of a data recipe: the rows in which a signal is highest, or lowest."""

    operator: Signal = Field(
        description="`ifd`: loss of the response given its prompt over its loss alone, under the model; `varentropy`: mean variance of "
        "-log p at the tokens of the response; `word-entropy`: entropy of the words of the row; `relevance`: cosine of the prompt's mean "
        "state with that of validation problems."
    )
    keep: Literal["high", "low"] = Field(description="Which end is kept.")
    fraction: Share = Field(description="The share of the rows that is kept, at least one row.")


class RandomRows(Strict):
    """A step of a data recipe: rows drawn at random."""

    operator: Literal["random"] = Field(description="`random`: rows by a hash of their place.")
    fraction: Share = Field(description="The share of the rows that is kept, at least one row.")


class ExactDuplicates(Strict):
    """A step of a data recipe: one copy of each text."""

    operator: Literal["exact-duplicates"] = Field(
        description="`exact-duplicates`: the first of the rows whose prompts and responses are the same but for case and white space."
    )


class NearDuplicates(Strict):
    """A step of a data recipe: one of each group of similar texts."""

    operator: Literal["near-duplicates"] = Field(
        description="`near-duplicates`: rows, in their order, that are not similar to one kept before; by MinHash of runs of five words."
    )
    similarity: Annotated[float, Field(ge=0.5, le=1)] = Field(description="Jaccard similarity from which rows are.")


class DropSource(Strict):
    """A step of a data recipe: without a source."""

    operator: Literal["drop-source"] = Field(description="`drop-source`: all rows but those of a source.")
    source: str = Field(description="The source, as the pool names it.")


Step = Annotated[Filter | RandomRows | ExactDuplicates | NearDuplicates | DropSource, Field(discriminator="operator")]

# Of an embedded pool.
SOURCES = ("right", "wrong-answer", "wrong-format", "duplicate", "other-task")

# Each operator with a parameter from the middle, filters at both ends: what one of them does alone.
ALONE_OPERATORS: dict[str, Step] = {
    **{
        f"{signal}-{keep}": Filter(operator=signal, keep=keep, fraction=0.5)
        for signal in get_args(Signal)
        for keep in ("high", "low")
    },
    "random": RandomRows(operator="random", fraction=0.5),
    "exact-duplicates": ExactDuplicates(operator="exact-duplicates"),
    "near-duplicates": NearDuplicates(operator="near-duplicates", similarity=0.7),
}


# ---------------------------------------------------------------- pools


class EmbeddedPool(Strict):
    """A pool of solutions to generated problems, of which it is known what is wrong with them."""

    kind: Literal["embedded"] = Field(description="`embedded`: solutions that are made here.")
    seed: int = Field(description="Seed of the problems and solutions.")
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(description="Tiers of the problems.")
    right: Positive = Field(description="Rows that are careful and right.")
    wrong_answer: Count = Field(description="Rows that are careful and box another number.")
    wrong_format: Count = Field(description="Rows that are careful and right, without the box.")
    duplicate: Count = Field(
        description="Rows that are careful and right, to ten times fewer problems: half of them the same text again."
    )
    other_task: Count = Field(
        description="Rows of another task: the second half of a problem's words, given the first."
    )


class FilePool(Strict):
    """A pool of real solutions: Parquet with the columns prompt, response and source, all text."""

    kind: Literal["file"] = Field(description="`file`: solutions that are read.")
    file: str = Field(description="Path below the data root.")
    rows: Positive = Field(description="Rows of the file.")
    sha256: Annotated[str, Field(pattern=SHA256)] = Field(description="Digest of the file.")


# ---------------------------------------------------------------- the search


class Tuning(Strict):
    """The supervised training on the rows that a data recipe chose: as many updates for each recipe, whatever their number."""

    steps: Positive = Field(description="Optimiser updates.")
    batch: Positive = Field(description="Rows of an update; all rows come once before any comes again.")
    learning_rate: Rate = Field(description="Peak learning rate of AdamW.")
    warmup_steps: Count = Field(description="Updates of linear warm-up; then half a cosine down.")
    weight_decay: NonNegative = Field(description="Weight decay of AdamW.")


class DataRecipe(Strict):
    """The search for a data recipe of a supervised start: ordered operators on a pool of solutions (adapted from arXiv 2605.12944)."""

    pool: Annotated[EmbeddedPool | FilePool, Field(discriminator="kind")] = Field(
        description="The rows to choose from."
    )
    validation: BenchmarkUse = Field(
        description="What the search scores on; its data set must be none of those that the study is evaluated on."
    )
    target: Positive = Field(32, description="The first so many validation problems are what `relevance` is to.")
    searches: Annotated[list[SearchName], Field(min_length=1)] = Field(
        description="How the next recipe is found, the study's own way first. `gp`: of local edits of the best recipe the one with the "
        "highest upper confidence bound of a Gaussian process; `random`, `first`: any of them, the first; `random-recipes`: no edits, any "
        "recipe."
    )
    seeds: Annotated[list[Count], Field(min_length=1)] = Field(description="Search seeds.")
    evaluations: Positive = Field(15, description="Recipes that a search trains on and scores, B.")
    probes: Positive = Field(3, description="Recipes at the start: of high, middle and low retention in turn.")
    proposals: Positive = Field(
        5, description="Local edits to choose from, M; one of them keeps more rows, where there is such."
    )
    patience: Positive = Field(
        4, description="Evaluations without a better score before a new recipe is begun with, P."
    )
    exploration: NonNegative = Field(
        1.0, description="Standard deviations above the mean in the upper confidence bound."
    )
    longest: Positive = Field(5, description="Most operators of a recipe.")
    tuning: Tuning = Field(description="How a recipe's rows are trained on.")
    recipes: dict[Name, list[Step]] = Field(
        {}, description="Recipes to compare with, by the name of their line in the table."
    )
    start: Count | None = Field(
        None,
        description="The search seed whose winner, of the first of `searches`, training starts from; the study's model itself without it.",
    )

    @model_validator(mode="after")
    def _combinations(self) -> DataRecipe:
        distinct("searches", self.searches)
        distinct("seeds", self.seeds)
        if self.probes > self.evaluations:
            raise ValueError(f"probes = {self.probes} must not exceed evaluations = {self.evaluations}")
        if self.tuning.warmup_steps > self.tuning.steps:
            raise ValueError(
                f"tuning.warmup_steps = {self.tuning.warmup_steps} must not exceed tuning.steps = {self.tuning.steps}"
            )
        if self.start is not None and self.start not in self.seeds:
            raise ValueError(f"start = {self.start} must be one of seeds = {self.seeds}")
        for name, steps in self.recipes.items():
            if name in (FULL, RANDOM_ROWS, *self.searches) or name.startswith(ALONE):
                raise ValueError(f"recipes.{name}: every table of a search has a line of this name; choose another")
            distinct(f"recipes.{name}", steps)
        return self
