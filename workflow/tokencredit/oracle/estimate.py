"""From counts of right continuations to the information that a next token holds about the reward, with its error.

At a state s the policy draws a token v with probability pi(v), and what follows v is right with probability p(v). Then, in nats,

    V = sum_v pi(v) p(v)              I(o; r | s) = h(V) - sum_v pi(v) h(p(v))              h(p) = -p ln p - (1 - p) ln(1 - p)

the mutual information of token and reward, which is at most the entropy of pi (arXiv 2604.11056, Proposition 1). Of p(v) only counts are
known. Shares of right continuations in place of p(v) make I too large: noise looks like information. The estimate here is corrected for
that, so it may fall below zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import xlogy

CONFIDENCE = 0.9


@dataclass(frozen=True)
class Branches:
    """The tokens that were tried at a state, and how their continuations ended.

    probability [V]: pi of each, float64; what is missing to 1 is the tokens that were not tried. right, trials [V]: counts, trials > 1.
    """

    probability: np.ndarray
    right: np.ndarray
    trials: np.ndarray

    @property
    def tried(self) -> float:
        """The probability of all tokens that were tried."""
        return min(1.0, float(self.probability.sum()))

    @property
    def shares(self) -> np.ndarray:
        """The probabilities among the tokens that were tried, [V]."""
        return self.probability / self.probability.sum()

    @property
    def means(self) -> np.ndarray:
        """The share of right continuations of each token, [V]."""
        return self.right / self.trials


@dataclass(frozen=True)
class Information:
    """I(o; r | s) in nats. ``value`` is corrected for bias and may be negative; [low, high] lies within what is possible.

    ``value`` and ``low`` take the tokens that were not tried as average ones; ``high`` takes them as what they could be at most.
    """

    value: float
    se: float
    low: float
    high: float


def binary_entropy(p: np.ndarray | float) -> np.ndarray:
    """h(p) in nats. A sum of shares may pass 1 by a rounding."""
    p = np.clip(p, 0.0, 1.0)
    return -(xlogy(p, p) + xlogy(1 - p, 1 - p))


def exact_information(probability: np.ndarray, right: np.ndarray) -> float:
    """I(o; r | s) in nats where p(v) = ``right`` [V] and pi = ``probability`` [V] (which sums to 1) are known."""
    return float(binary_entropy(probability @ right) - probability @ binary_entropy(right))


def hindsight(probability: np.ndarray, right: np.ndarray) -> np.ndarray:
    """pi(v | s, r = right) [V], the posterior of the token once the reward is known: pi(v) p(v) / V. Not a number where V is zero."""
    joint = probability * right
    return joint / joint.sum()


def information(branches: Branches, confidence: float = CONFIDENCE) -> Information:
    """The estimate and its interval.

    The bias is what the jackknife finds when it leaves out one continuation of one token at a time; what it leaves at a state without
    information is ``null_information``. The error holds the first and the second order of I in the counts, for at a state without
    information the first vanishes.
    """
    tried = branches.tried
    estimate = tried * float(_corrected(branches, branches.right[None])[0])
    se = tried * _error(branches)
    margin = stats.norm.ppf((1 + confidence) / 2) * se
    high = min(math.log(2), max(0.0, estimate + margin) + _untried(branches))
    return Information(estimate, se, min(max(0.0, estimate - margin), high), high)


def null_information(branches: Branches, rng: np.random.Generator, draws: int = 20) -> float:
    """What the jackknife's estimate is on average where the same outcomes have nothing to do with the token, among the tokens tried.

    The outcomes of the state are shuffled among the continuations of all its tokens, so V, the tokens and the noise stay as they are and
    all information is gone. The jackknife takes off the bias of order 1/n; where tokens have few continuations, and V is near 0 or 1, as
    much is left as a style fork seems to hold. It is the bias of a state without information: of one with much it is too large.
    """
    shuffled = rng.multivariate_hypergeometric(branches.trials, int(branches.right.sum()), size=draws)
    return branches.tried * float(_corrected(branches, shuffled).mean())


def advantages(branches: Branches) -> tuple[np.ndarray, np.ndarray]:
    """Q(s, v) - V(s) of each token [V] in shares of right responses, and its standard error [V]. Rewards of +1 and -1: twice of both."""
    share, smooth = branches.shares, _smooth(branches)
    se = np.sqrt(_of_differences(share, smooth * (1 - smooth) / branches.trials))
    return branches.means - share @ branches.means, se


def squared_advantages(branches: Branches) -> np.ndarray:
    """(Q(s, v) - V(s))^2 of each token [V]: that of the estimates less their sampling variance, so it has no bias and may be negative."""
    share, means = branches.shares, branches.means
    variance = means * (1 - means) / (branches.trials - 1)  # of this the mean over samples is p (1 - p) / trials
    return (means - share @ means) ** 2 - _of_differences(share, variance)


def _of_differences(share: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The variance of the means' differences from their average with weights ``share``, from the ``variance`` of each mean; all [V]."""
    return np.sum(share**2 * variance) + (1 - 2 * share) * variance


def _corrected(branches: Branches, right: np.ndarray) -> np.ndarray:
    """Shares of right continuations put in for p(v), less the jackknife's bias, for several lots of counts ``right`` [K, V]: [K]."""
    share, trials = branches.shares, branches.trials
    means = right / trials
    value, uncertain = means @ share, binary_entropy(means)
    within = uncertain @ share
    plugged_in = binary_entropy(value) - within
    bias = np.zeros(len(right))
    for lost in (0, 1):  # a wrong continuation, or a right one
        how_many = right if lost else trials - right
        without = np.where(how_many > 0, (right - lost) / (trials - 1), means)
        values = value[:, None] + share * (without - means)
        withins = within[:, None] + share * (binary_entropy(without) - uncertain)
        change = binary_entropy(values) - withins - plugged_in[:, None]
        bias += np.sum((trials - 1) * how_many / trials * change, axis=1)
    return plugged_in - bias


def _smooth(branches: Branches) -> np.ndarray:
    """Shares that are never 0 or 1, for errors: Jeffreys' prior means."""
    return (branches.right + 0.5) / (branches.trials + 1)


def _error(branches: Branches) -> float:
    """Standard error of the estimate, from its gradient and half its second derivative A in the shares p(v): g'Dg + 2 tr(ADAD)."""
    share, p = branches.shares, _smooth(branches)
    value = float(share @ p)
    noise = p * (1 - p) / branches.trials
    gradient = share * (np.log(p / (1 - p)) - math.log(value / (1 - value)))
    curvature = (np.diag(share / (p * (1 - p))) - np.outer(share, share) / (value * (1 - value))) / 2
    spread = curvature * noise
    return math.sqrt(float(gradient**2 @ noise) + 2 * float(np.sum(spread * spread.T)))


def _untried(branches: Branches) -> float:
    """How much the tokens that were not tried could add to I at most: all of them right, or all wrong, whatever is more."""
    rest = 1 - branches.tried
    if rest <= 0:
        return 0.0
    known = np.append(branches.probability, rest)
    without = branches.tried * exact_information(branches.shares, branches.means)
    return max(exact_information(known, np.append(branches.means, end)) - without for end in (0.0, 1.0))
