"""The embedded tasks, a file each: a new one is a new file here, and entries in ``config/`` that name it.

A task's name is that of its file, with hyphens. The file holds what ``Task`` lists. It needs no import but random numbers and ``phrasing``:
the graph reads every task at each start.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Problem(Protocol):
    """A problem's text and what it means to its task."""

    @property
    def text(self) -> str: ...

    @property
    def tier(self) -> int: ...

    @property
    def answer(self) -> int | str: ...


class Task(Protocol):
    """What a file of this package has to hold."""

    TIERS: Mapping[int, Any]  # difficulties: 1, or 1 and 2, or 1 to 3
    LARGEST: int  # of all numbers in problems and solutions, which begin at 0
    KINDS_NEED_PROBLEM: bool  # whether ``kinds`` reads the text of the problem, and the tokens do not tell enough

    def make_problem(self, tier: int, rng: random.Random) -> Problem:
        """A random problem of a tier."""
        ...

    def sample_solution(self, problem: Any, rng: random.Random) -> str:
        """A solution as the pretraining texts hold them: right, wrong in places, or careless."""
        ...

    def careful_solution(self, problem: Any, rng: random.Random, mistakes: bool) -> str:
        """A solution that takes care; without ``mistakes`` it is right."""
        ...

    # ``english_solution(problem, rng)``, which a file need not hold: a right solution in ordinary English, for models pretrained elsewhere.

    # ``decision(token)``, which a file need not hold: what a token of a solution decides, the same for synonyms.

    def phrases(self) -> list[str]:
        """Texts that hold every word and sign of the task; numbers are known anyway."""
        ...

    def kinds(self, tokens: Sequence[str], problem: str) -> list[str]:
        """What each token of a response does, in a word or two: style fork, result, routine.

        ``tokens``: those of the whole response, in order, spaces included. ``problem``: the text of the problem that is solved, empty
        unless ``KINDS_NEED_PROBLEM``.
        """
        ...


TASKS: dict[str, Task] = {
    module.name.replace("_", "-"): importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
}
