"""What a token of a worked solution of an embedded task does, told from its place there and, where that is not enough, from the problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tokencredit.data import KINDS_FROM_PROBLEM, MODULES, graph_paths
from tokencredit.data.kinds import ANSWER, BRANCH, COPY, RESULT, ROUTINE, STRATEGY, STYLE
from tokencredit.data.phrasing import BOXED, CONNECTIVES

_BEFORE_ANSWER = BOXED.split("{{")[0].lstrip() + "{"


def token_kinds(task: str, tokens: Sequence[str], problem: str) -> list[str]:
    """The kind of each token of a solution, one of ``kinds.KINDS``.

    ``tokens``: those of the whole response, in order, spaces included. ``problem``: the text of the problem that is solved, which only the
    tasks of ``KINDS_FROM_PROBLEM`` need.

    style fork: the opening, the pause after it, and the first word of what follows the way of working, where any of some will do. strategy
    fork: the way of working, and the word after each finished step, which goes on or leaves for the answer. branch, in ``graph-paths``: the
    next road, where the problem offers more than one. result: the number after "=" or "makes". answer: the number in the box, copied after
    the last step and guessed after a shortcut or an early exit. copied number: any other number. routine: all else. The kind is of the
    place: a token that the grammar does not have there is of that kind too.
    """
    if task not in MODULES:
        raise ValueError(f"task = {task!r}: has no kinds of tokens; allowed: {', '.join(MODULES)}.")
    kinds = [_kind(place, token, tokens[place - 1] if place else "") for place, token in enumerate(tokens)]
    if task in KINDS_FROM_PROBLEM:
        for place in _branches(problem, tokens):
            kinds[place] = BRANCH
    return kinds


def _kind(place: int, token: str, before: str) -> str:
    if place in (0, 1, 4):
        return STYLE
    if place == 2 or before == ".":
        return STRATEGY
    if before in (" =", " makes"):
        return RESULT
    if before.endswith(_BEFORE_ANSWER):
        return ANSWER
    return COPY if token.strip().isdecimal() else ROUTINE


def _branches(problem: str, tokens: Sequence[str]) -> list[int]:
    """Where a solution chooses a road: after the word that begins a step, at a place that more than one road of the problem leaves."""
    leaving = re.findall(graph_paths.LEAVING, problem)
    (here,) = re.findall(graph_paths.START, problem)
    found = []
    for place, (before, road) in enumerate(pairwise(tokens), start=1):
        if before in CONNECTIVES:
            if leaving.count(here) > 1:
                found.append(place)
            here = road[-1:]
    return found
