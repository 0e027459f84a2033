"""Which of the proposed recipes is evaluated: rankers, and the Gaussian process that one of them asks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tokencredit.data_recipe.operators import Steps, encoded

NOISE = 1e-2  # of the scores, as a share of their variance
RESTARTS = 10


@dataclass(frozen=True)
class Point:
    """A recipe, the state vector of its rows, and its score where it was evaluated."""

    recipe: Steps
    state: dict[str, float]
    score: float | None = None


@dataclass(frozen=True)
class Scene:
    """All that a ranker may know: the recipes evaluated so far, in order, and the candidates. ``seed``: of this very choice."""

    history: Sequence[Point]
    candidates: Sequence[Point]
    sources: Sequence[str]
    exploration: float
    seed: int

    @cached_property
    def beliefs(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the Gaussian process for each candidate, [M] each, in shares of right responses."""
        return believed(
            self._features(self.history), [point.score for point in self.history], self._candidates, self.seed
        )

    @property
    def bounds(self) -> np.ndarray:
        """[M]: the upper confidence bound of each candidate."""
        mean, deviation = self.beliefs
        return mean + self.exploration * deviation

    @property
    def _candidates(self) -> np.ndarray:
        return self._features(self.candidates)

    def _features(self, points: Sequence[Point]) -> np.ndarray:
        return np.array([[*encoded(point.recipe, self.sources), *point.state.values()] for point in points])


def believed(
    evaluated: np.ndarray, scores: Sequence[float], candidates: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and deviation at ``candidates`` [M, D] after ``scores`` [N] at ``evaluated`` [N, D].

    A constant times Matern 2.5, scores normalised, noise ``NOISE``, ten restarts (arXiv 2605.12944). The kernel's parameters are kept
    within a hundredth to a hundred: few points say little about them.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(1.0, (1e-1, 1e2), nu=2.5)
    process = GaussianProcessRegressor(
        kernel, alpha=NOISE, normalize_y=True, n_restarts_optimizer=RESTARTS, random_state=seed % 2**32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound, as is to be expected
        process.fit(evaluated, np.asarray(scores, float))
    return process.predict(candidates, return_std=True)


def highest_bound(scene: Scene) -> int:
    """The candidate of the highest upper confidence bound; of equal ones the first."""
    return int(np.argmax(scene.bounds))


def at_random(scene: Scene) -> int:
    """Any candidate."""
    return int(np.random.default_rng(scene.seed).integers(len(scene.candidates)))


def first(scene: Scene) -> int:
    """The first candidate: what the order of proposals makes of it."""
    return 0


# A ranker is a function from a scene to the place of a candidate. Another one, a language model that reads history, states and beliefs as
# in the paper, is an entry here and a name in `config.data_recipe_keys.SearchName`; none is used here.
RANKERS: dict[str, Callable[[Scene], int]] = {"gp": highest_bound, "random": at_random, "first": first}
