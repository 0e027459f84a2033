"""The graders by name: what decides whether an answer is right. A new grader is a file here and an entry in ``GRADERS``.

``grader:`` of a benchmark or a data set names one. Which part of a response is its answer is the same for all (``extract.py``), as are the
three outcomes and the limits of time and memory (``pool.py``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Literal, Protocol, runtime_checkable

from tokencredit.errors import UserError
from tokencredit.grading.graders import choice, exact, mathematics

Outcome = Literal["right", "wrong", "ungraded"]
Judgement = tuple[Outcome, str | None]  # and the reason: a sentence, always there for "ungraded"


class Grader(Protocol):
    """What a module has to hold to be a grader."""

    def label(self) -> str:
        """Its name and version, as every grade records it."""
        ...

    def at_once(self, gold: str, answer: str) -> Judgement | None:
        """The judgement on a boxed answer where it costs microseconds and cannot fail; None where a worker has to find it."""
        ...

    def in_worker(self) -> Callable[[str, str], Judgement]:
        """What judges in a process that can be killed; called once in each, so that heavy imports belong here."""
        ...


@runtime_checkable
class Audited(Protocol):
    """What a grader's module holds for its audit; mathematics has modules of its own (``grading.audit``)."""

    def mutants(self, gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        """(kind, answer) of answers that look like the gold and are others."""
        ...

    def rewritings(self, gold: str, rng: random.Random) -> Iterator[tuple[str, str]]:
        """(kind, answer) of other ways to write the gold."""
        ...

    def why_equal(self, gold: str, answer: str, rng: random.Random) -> str | None:
        """Why a mutant that was graded right is the gold after all; None where it is not."""
        ...


GRADERS: dict[str, Grader] = {"math": mathematics, "exact": exact, "choice": choice}


def grader_named(name: str) -> Grader:
    """The grader ``name``; another name is a ``UserError``."""
    if name not in GRADERS:
        raise UserError(f"grader = {name!r}: is not known; allowed: {', '.join(GRADERS)}.")
    return GRADERS[name]
