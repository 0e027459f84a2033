"""Every key of ``config/claims.yaml`` and of a study's ``experiments``: statements, each as contrasts that stored records can decide."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tokencredit.config.keys import Name, Positive, Rate, Share, Strict

BASE, START = "base", "start"  # what a method is compared with beside other methods

Printed = Literal["table1", "table2", "table3", "table9", "figure2", "figure5"]
Direction = Literal["higher", "lower"]
Methods = Annotated[list[Name], Field(min_length=1)]


class Difference(Strict):
    """A difference in points, above or below zero, or within a margin of it."""

    kind: Literal["score", "speed"]  # the first key of an entry tells its kind
    direction: Literal["higher", "lower", "equal"] = Field(
        description="Whether `method` is claimed to be `higher` or `lower` than the other, or `equal` to it within `margin`."
    )
    margin: Rate | None = Field(
        None,
        exclude_if=lambda margin: margin is None,
        description="Points within which two methods count as equal; with `direction: equal` alone, which two one-sided tests decide "
        "(Schuirmann 1987).",
    )

    @model_validator(mode="after")
    def _margin(self) -> Difference:
        if (self.direction == "equal") != (self.margin is not None):
            raise ValueError(
                f"direction = {self.direction!r} {'needs' if self.margin is None else 'has no'} margin, the points within which two "
                "methods count as equal"
            )
        return self


class ScoreContrast(Difference):
    """Final scores of two methods on benchmarks of the study: a difference, over questions and training seeds."""

    kind: Literal["score"] = Field(description="`score`: final scores.")
    metric: Literal["avg", "pass"] = Field(
        description="`avg`: Avg@n; `pass`: the unbiased Pass@k at the largest k of the study's `analysis.pass_k` at which the model that "
        "training starts from does not solve nearly all (`analysis.pass_below`). The unweighted mean over benchmarks."
    )
    samples_at_least: Positive = Field(
        1,
        description="Only benchmarks with so many responses to a question are taken; without any the contrast is not measured.",
    )
    method: Name = Field(description="The method that the claim is about.")
    against: Methods = Field(
        description="Methods, or `base` for the model that training starts from; a contrast with each."
    )
    printed: list[Printed] = Field(
        [],
        description="Tables and figures of the paper that print the difference (`config/targets`): whether the interval here excludes it "
        "is said. `figure2`: the last step; `figure5`: Pass@k.",
    )


class SpeedContrast(Difference):
    """How fast two methods learn: a difference, over training seeds."""

    kind: Literal["speed"] = Field(description="`speed`: how fast a method learns.")
    measure: Literal["speed", "area"] = Field(
        description="`speed`: the mean solve rate of all groups sampled in the study's `analysis.speed_steps`; `area`: the mean of "
        "Avg@n on the curve benchmark over training."
    )
    method: Name = Field(description="The method that the claim is about.")
    against: Methods = Field(description="Methods; a contrast with each.")


class EntropyContrast(Strict):
    """Mean token entropy at the end of training: a ratio, over training seeds."""

    kind: Literal["entropy"] = Field(description="`entropy`: mean token entropy.")
    tokens: Literal["trained", "probe"] = Field(
        "trained",
        description="`trained`: the mean over the last five steps of training, of the groups trained on (some methods drop groups that are "
        "all right or all wrong); `probe`: of fixed tokens of the model that training starts from, after training.",
    )
    method: Name = Field(description="The method that the claim is about.")
    against: Methods = Field(
        description="Methods at the end of training, or `start` for the method's own first five steps; a contrast with each."
    )
    direction: Direction = Field(
        description="Whether the ratio of `method` to the other is claimed `higher` or `lower` than `ratio`."
    )
    ratio: Rate = Field(1.0, description="The ratio claimed; 0.5 is half the other's entropy.")
    updates_at_least: Positive = Field(
        1, description="Optimiser updates below which a run is too short to show it; the contrast is then not testable."
    )


class StepsContrast(Strict):
    """Steps of training to the same score: the score after a part of the steps against the other's after all, over questions and seeds."""

    kind: Literal["steps"] = Field(description="`steps`: Avg@n on the curve benchmark during training.")
    method: Name = Field(description="The method that is claimed to need fewer steps.")
    against: Methods = Field(description="Methods at the end of their training; a contrast with each.")
    part: Share = Field(
        description="The part of the steps after which `method` is claimed to score higher than the other method after all steps. Only the "
        "reverse contradicts it: the other after that part scores higher than `method` after all. Not testable where the other ends no "
        "higher than it starts: every step of `method` is then above it."
    )


class CreditContrast(Strict):
    """The measured credit of tokens, I(token; reward | context), at positions of low entropy against that at high entropy.

    That credit is at most the entropy is true of all information, so no measurement could contradict it, and no contrast asks for it.
    """

    kind: Literal["credit"] = Field(description="`credit`: measured credit of tokens.")
    ratio: Share = Field(
        description="Mean credit at positions of low entropy is claimed to be below this many times that at positions of high entropy."
    )
    policies: Methods = Field(
        description="Measured policies, `base` or trained methods at their last step; a contrast for each."
    )


Contrast = Annotated[
    ScoreContrast | SpeedContrast | EntropyContrast | StepsContrast | CreditContrast,
    Field(discriminator="kind"),
]


class Claim(Strict):
    """A claim of the paper. It holds only if each of its contrasts does."""

    statement: str = Field(description="The claim in one sentence.")
    source: str = Field(description="Where the paper makes it, or shows it.")
    contrasts: Annotated[list[Contrast], Field(min_length=1)] = Field(
        description="The comparisons that all have to come out as claimed."
    )


class Experiment(Strict):
    """A question that a study is run for, with what decides it, declared before the study is run."""

    question: str = Field(description="The question in one sentence.")
    contrasts: Annotated[
        list[Annotated[ScoreContrast | SpeedContrast, Field(discriminator="kind")]], Field(min_length=1)
    ] = Field(description="The expectations, each decided by itself; Holm's adjustment is over all of the experiment.")


class ClaimsFile(Strict):
    """The paper's claims, and the confidence at which records decide them."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        description="Confidence of the intervals; tests are two-sided at one minus it."
    )
    claims: dict[Name, Claim] = Field(description="The claims by name, in the order of the table.")
