"""Which responses meet in one update: both signs of the reward, and a prompt's responses together or scattered (arXiv 2605.08666)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokencredit.credit import TokenSignals
from tokencredit.records import Rollout
from tokencredit.seeds import generator


def minibatches(signals: TokenSignals, prompts: int, together: bool, seed: int, step: int) -> list[Tensor]:
    """The responses of each update of a step, int64, increasing: of ``prompts`` whole groups each, the last of the rest.

    Not ``together``: as many updates, of nearly as many responses each, drawn from all of the step by (``seed``, ``step``).
    """
    groups = torch.arange(int(signals.group.max()) + 1).split(prompts)
    if together:
        return [((signals.group >= part[0]) & (signals.group <= part[-1])).nonzero().squeeze(1) for part in groups]
    order = torch.from_numpy(generator(seed, "minibatches", step).permutation(len(signals.group)))
    return [part.sort().values for part in order.tensor_split(len(groups))]


def lacking(groups: list[list[Rollout]], size: int, share: float) -> int:
    """How many responses of the rarer verdict are missing, for ``size`` responses to have the ``share`` of each."""
    right = sum(rollout.outcome == "right" for group in groups for rollout in group)
    wrong = sum(map(len, groups)) - right
    return max(0, math.ceil(share * size - 1e-9) - min(right, wrong))


def balanced(groups: list[list[Rollout]], size: int, share: float) -> list[list[int]]:
    """The places in each group of the ``size`` responses to learn from: right and wrong ones at least the ``share`` of them each.

    The first ones, but for as many of the commoner verdict as have to give way to later ones of the other. Where too few are of one
    verdict, there are fewer in all: the condition min(N+, N-) >= share (N+ + N-) holds always (arXiv 2605.08666, section 4).
    """
    places = [(number, place) for number, group in enumerate(groups) for place in range(len(group))]
    verdicts = [groups[number][place].outcome == "right" for number, place in places]
    right, wrong = ([row for row, own in enumerate(verdicts) if own == verdict] for verdict in (True, False))
    size = min(size, len(places), math.floor(min(len(right), len(wrong)) / share + 1e-9))
    fewest = math.ceil(share * size - 1e-9)
    count = min(max(sum(verdicts[:size]), fewest), size - fewest)
    chosen = {*right[:count], *wrong[: size - count]}
    kept: list[list[int]] = [[] for _ in groups]
    for row, (number, place) in enumerate(places):
        if row in chosen:
            kept[number].append(place)
    return kept
