"""DelTA, arXiv 2605.21467, App. H: squared distances to the two sides' centroids, their own deviations as temperatures, a mean of one."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, Ragged, every_token, places, sigmoid

Place = tuple[int, int]
SMALL = 1e-12


def delta(batch: Batch, low: float = 0.8, high: float = 1.2, refinements: int = 1, scope: str = "group") -> Credit:
    """lambda = low + (high - low) alpha after so many refinements; low where A = 0."""
    weights: Ragged = [[low] * len(response) for response in batch.responses]
    for where in _scopes(batch, scope):
        for (i, t), alpha in _alpha(batch, where, refinements).items():
            weights[i][t] = low + (high - low) * alpha
    return _normalised(batch, weights, scope)


def delta_random(batch: Batch, low: float = 0.8, high: float = 1.2, scope: str = "group") -> Credit:
    """lambda = low + (high - low) U; low where A = 0."""
    weights = [
        [low + (high - low) * (noise if response.advantage else 0.0) for noise in response.noise]
        for response in batch.responses
    ]
    return _normalised(batch, weights, scope)


def _scopes(batch: Batch, scope: str) -> list[list[Place]]:
    groups = dict.fromkeys(response.group for response in batch.responses)
    return [places(batch, group) for group in groups] if scope == "group" else [places(batch)]


def _alpha(batch: Batch, where: list[Place], refinements: int) -> dict[Place, float]:
    sides = {sign: [(i, t) for i, t in where if sign * batch.responses[i].advantage > 0] for sign in (1, -1)}
    alpha = dict.fromkeys(where, 1.0)
    differences = _differences(batch, sides, alpha)
    gamma = _deviations(sides, differences)
    for _ in range(refinements):
        alpha = _scores(sides, differences, gamma)
        gamma = _deviations(sides, differences)  # of this pass, for the next
        differences = _differences(batch, sides, alpha)
    return _scores(sides, differences, gamma)


def _differences(batch: Batch, sides: dict[int, list[Place]], alpha: dict[Place, float]) -> dict[Place, float]:
    """|v - mu_other|^2 - |v - mu_own|^2."""
    centroids = {sign: _centroid(batch, side, alpha) for sign, side in sides.items()}
    found = {}
    for sign, side in sides.items():
        for place in side:
            v = _gradient(batch, place)
            found[place] = math.dist(v, centroids[-sign]) ** 2 - math.dist(v, centroids[sign]) ** 2
    return found


def _centroid(batch: Batch, side: list[Place], alpha: dict[Place, float]) -> list[float]:
    masses = [abs(batch.responses[i].advantage) * alpha[i, t] for i, t in side]
    vectors = [_gradient(batch, place) for place in side]
    total = max(math.fsum(masses), SMALL)
    return [math.fsum(m * v[axis] for m, v in zip(masses, vectors, strict=True)) / total for axis in range(3)]


def _gradient(batch: Batch, place: Place) -> list[float]:
    """(1 - p) h."""
    i, t = place
    response = batch.responses[i]
    return [(1 - math.exp(response.old_logprob[t])) * h for h in response.hidden[t]]


def _deviations(sides: dict[int, list[Place]], differences: dict[Place, float]) -> dict[int, float]:
    return {
        sign: math.sqrt(max(statistics.pvariance([differences[place] for place in side]), SMALL)) if side else 1.0
        for sign, side in sides.items()
    }


def _scores(
    sides: dict[int, list[Place]], differences: dict[Place, float], gamma: dict[int, float]
) -> dict[Place, float]:
    return {place: sigmoid(differences[place] / gamma[sign]) for sign, side in sides.items() for place in side}


def _normalised(batch: Batch, weights: Ragged, scope: str) -> Credit:
    """A lambda N / sum lambda."""
    advantage: Ragged = [[0.0] * len(response) for response in batch.responses]
    for where in _scopes(batch, scope):
        mean = math.fsum(weights[i][t] for i, t in where) / len(where)
        for i, t in where:
            advantage[i][t] = batch.responses[i].advantage * weights[i][t] / (mean or 1.0)
    return Credit(advantage, every_token(batch))
