"""Every key of ``config/targets.yaml``: the paper's printed numbers, the study that is to reproduce each, and the tolerances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tokencredit.config.keys import Name, Positive, Rate, Strict


class Tolerances(Strict):
    """How far a result may lie from the printed number and still be called reproduced, to either side."""

    avg: Rate = Field(description="Avg@k of one benchmark, points.")
    mean: Rate = Field(description="Mean of Avg@k over benchmarks, points.")
    pass_at_k: Rate = Field(description="Pass@k of one benchmark, points.")
    accuracy: Rate = Field(description="Accuracy of one response per question, points.")
    tokens: Rate = Field(description="Mean response length, percent of the printed number.")
    solve_rate: Rate = Field(description="Share of right responses in training, points.")
    entropy: Rate = Field(description="Mean token entropy in training, nats.")


class Source(Strict):
    """A table or figure of the paper, or of another one that its title names."""

    title: str = Field(description="Its name in the paper.")
    file: Literal["tables", "figure2", "figure3", "figure5", "gsm8k"] = Field(
        description="The file of `config/targets` with its numbers."
    )
    page: Positive | None = Field(None, description="Its page in the paper; null where it was not written down.")
    study: Name = Field(description="The study that is to show its numbers again.")


class TargetsFile(Strict):
    """The printed numbers, and how a result is compared with them."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(description="Confidence of the interval of a difference.")
    tolerances: Tolerances = Field(description="Declared before any result is seen.")
    sources: dict[Name, Source] = Field(description="Tables and figures by name.")
