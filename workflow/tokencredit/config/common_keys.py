"""What the keys of a study and of its search for a data recipe share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from tokencredit.config.keys import Name, Positive, Strict


class BenchmarkUse(Strict):
    """A benchmark of the study."""

    benchmark: Name = Field(description="The benchmark, one of benchmarks.yaml.")
    samples: Positive | None = Field(None, description="Responses per problem; the benchmark's own number without it.")
    problems: Positive | None = Field(None, description="The first so many problems of the benchmark; all without it.")
    beside: Annotated[bool, Field(exclude_if=lambda beside: not beside)] = Field(
        False,
        description="Shown beside the others, and in no mean, no claim and no figure of the paper: in a study of the paper's "
        "a benchmark that is not the paper's.",
    )


def distinct(key: str, values: list[Any]) -> None:
    """Raise ``ValueError`` where an entry of the list ``key`` is listed twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{key}: {value!r} is listed {values.count(value)} times; every entry may be listed once")
