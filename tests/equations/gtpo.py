"""GTPO, arXiv 2508.04349, Eq. 3-6: rewards per token from the entropies at the same place of the group's other responses."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, every_token, groups_of, places, teaches, zscore

SMALLEST = 1e-8  # added to every entropy


def gtpo(batch: Batch, a1: float = 1.0, a2: float = 0.1, scope: str = "set") -> Credit:
    """r~+ = a1 + a2 d_t H / sum H; r~- = -a1 - a2 h_t (1 / H) / sum (1 / H); standardised over each set, or over the group."""
    advantage = [[0.0 for _ in response.entropy] for response in batch.responses]
    for group in groups_of(batch):
        if not teaches(batch, group):
            continue
        shaped: dict[tuple[int, int], float] = {}
        for i, t in places(batch, group):
            right = batch.responses[i].reward > 0
            alive = [
                other
                for other in batch.responses
                if other.group == group and (other.reward > 0) == right and len(other) > t
            ]
            size = {id(other): _size(other.entropy[t], right) for other in alive}
            share = size[id(batch.responses[i])] / sum(size.values())
            bonus = a1 + a2 * len(alive) * share
            shaped[i, t] = bonus if right else -bonus
        for i, t in shaped:
            right = batch.responses[i].reward > 0
            together = [
                reward
                for (k, _), reward in shaped.items()
                if scope == "group" or (batch.responses[k].reward > 0) == right
            ]
            advantage[i][t] = zscore(shaped[i, t], together)
    return Credit(advantage, every_token(batch))


def _size(entropy: float, right: bool) -> float:
    H = entropy + SMALLEST
    return H if right else 1 / H
