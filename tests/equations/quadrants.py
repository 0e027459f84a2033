"""The Four Quadrant Decomposition, arXiv 2604.11056 section 3, with its other thresholds."""

from __future__ import annotations

import statistics
from functools import partial

from tests.equations.batch import Batch, Credit, entropies, places, plain, quantile, values_at, zscore

QUADRANTS = ("phr", "plr", "nhr", "nlr")


def quadrants_of(batch: Batch, threshold: str = "group-mean") -> list[list[str]]:
    """The quadrant of every token: H >= threshold is high, r > 0 is positive."""
    if threshold == "k-means":
        return _k_means(batch)
    bounds = {response.group: _bound(batch, response.group, threshold) for response in batch.responses}
    return [
        [_name(response.reward > 0, own >= bounds[response.group]) for own in response.entropy]
        for response in batch.responses
    ]


def one_quadrant(batch: Batch, threshold: str = "group-mean", *, quadrant: str) -> Credit:
    """Only the terms of one quadrant; the denominator stays all tokens."""
    names = quadrants_of(batch, threshold)
    return Credit(plain(batch), [[name == quadrant for name in row] for row in names])


phr, plr, nhr, nlr = (partial(one_quadrant, quadrant=name) for name in QUADRANTS)


def _name(positive: bool, high: bool) -> str:
    return ("p" if positive else "n") + ("h" if high else "l") + "r"


def _bound(batch: Batch, group: int, threshold: str) -> float:
    """What the entropies of the tokens of a group are compared with."""
    if threshold == "batch-mean":
        return statistics.mean(values_at(entropies(batch), places(batch)))
    of_group = values_at(entropies(batch), places(batch, group))
    if threshold == "group-mean":
        return statistics.mean(of_group)
    return quantile(of_group, {"group-p25": 0.25, "group-p50": 0.5, "group-p75": 0.75}[threshold])


def _k_means(batch: Batch) -> list[list[str]]:
    """Lloyd's algorithm on (polarity, z of the entropy over the batch), from the batch-mean quadrants."""
    where = places(batch)
    everything = values_at(entropies(batch), where)
    points = [
        (1.0 if batch.responses[i].reward > 0 else -1.0, zscore(batch.responses[i].entropy[t], everything))
        for i, t in where
    ]
    names = [name for row in quadrants_of(batch, "batch-mean") for name in row]
    for _ in range(100):
        centres = {}
        for name in QUADRANTS:
            own = [point for point, its in zip(points, names, strict=True) if its == name]
            if own:
                centres[name] = (sum(x for x, _ in own) / len(own), sum(y for _, y in own) / len(own))
        nearest = []
        for x, y in points:
            distances = {name: (x - cx) ** 2 + (y - cy) ** 2 for name, (cx, cy) in centres.items()}
            nearest.append(min(distances, key=lambda name: distances[name]))
        if nearest == names:
            break
        names = nearest
    in_order = iter(names)
    return [[next(in_order) for _ in response.entropy] for response in batch.responses]
