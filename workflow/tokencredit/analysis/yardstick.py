"""The measured credit of tokens as a yardstick for weights: noise in it hides agreement and makes hardly any.

The size of a measured Q - V cannot be ranked as it is. Where the policy is unsure more is left to chance, so noise alone makes |Q - V|
large at tokens of high entropy, while it is zero where one token alone was possible: weights that follow entropy would agree with a
measurement of nothing. Here the continuations of every token tried are dealt into three parts, at random and several times:

- the product of Q - V in one part and Q - V in another is (Q - V)^2 in expectation, and symmetric noise takes it below zero as often as
  above; the noise is skewed where V is near 0 or 1, which means and sums do not feel and ranks a little;
- so it is with the mean of such products over all tokens; divided by 2 V (1 - V) that is I(token; reward | context) to the second order in
  the differences of Q;
- the third part gives weights of the oracle's own: how well as many continuations know the credit that the other two show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import Branches, advantages
from tokencredit.seeds import generator

SPLITS, PARTS = 20, 3
TOP = 0.1  # the share of tokens that are called those of most credit
SMALL = 0.1  # a credit below this part of the root mean square of all is called none
NORMAL = 1.96  # of a 95 % interval
CREDIT, INFORMATION = "credit", "information"
_RESPONSE = ["seed", "problem_id", "cell", "sample"]
_STATE = [*_RESPONSE, "position"]


@dataclass(frozen=True)
class Target:
    """One quantity of all N measured tokens, for each of K times that continuations were dealt: [N, K].

    value: without bias, so also below zero. rank: its ranks within responses, as ``unit_ranks`` gives them. top: 1 where it is above zero
    and among the ``TOP`` of all tokens, -1 where it lies as far below zero, which noise alone does. own: what the third part says of it.
    """

    value: np.ndarray
    rank: np.ndarray
    top: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Yardstick:
    """What is measured of N tokens of stored responses.

    tokens [N]: seed, problem_id, response (a number), position, entropy (nats), advantage (Q - V from all continuations, in shares of right
    responses; 0 where one token has all the probability but so little that it hardly differs from V), decided (its 95 % interval does not
    hold zero), nothing (its interval lies within ``SMALL`` times the root mean square of Q - V on either side of zero).
    responses: the number of each by (seed, problem_id, sample, token ids). targets: (Q - V)^2 and I. signed, own_signed [N, K]: Q - V in
    the two parts behind the targets, and in the third. refused: tokens that are left out, for a candidate has too few graded
    continuations.
    """

    tokens: pd.DataFrame
    responses: dict[tuple, int]
    targets: dict[str, Target]
    signed: np.ndarray
    own_signed: np.ndarray
    refused: int


def yardstick(store: Store, rows: list[Row]) -> Yardstick:
    """The yardstick that the policies ``rows`` give, of different training seeds. ``UserError`` where no token is measured."""
    tables = [[part.assign(seed=row.seed) for part in store.oracle(row)] for row in rows]
    states, branches = (pd.concat(parts).sort_values(_STATE, ignore_index=True) for parts in zip(*tables, strict=True))
    states["response"] = states.groupby(_RESPONSE).ngroup()
    counts = branches.groupby(_STATE).size().to_numpy()
    fewest = (branches["right"] + branches["wrong"]).groupby([branches[name] for name in _STATE]).min().to_numpy()
    is_open, known = counts > 1, (counts == 1) | (fewest >= PARTS)
    if not known.any():
        raise UserError(
            f"{store.path('oracle')}: no token could be measured: each has a candidate with fewer than {PARTS} graded continuations."
        )
    tried = branches["probability"].groupby([branches[name] for name in _STATE]).sum().clip(upper=1).to_numpy()
    states = states.assign(advantage=0.0, reach=1 - tried)  # of a token that was possible alone
    continued = branches[np.repeat(is_open & known, counts)]
    apart = _Continued.of(states[is_open & known], continued, counts[is_open & known])
    states.loc[is_open & known, ["advantage", "reach"]] = apart.advantages()
    parts, products, own_products = apart.dealt(generator("yardstick", len(continued)))
    open_of_known = is_open[known]
    parts, products, own_products = (_scattered(values, open_of_known) for values in (parts, products, own_products))

    tokens = states[known].reset_index(drop=True)
    squared = parts[1] * parts[2]
    small = SMALL * np.sqrt(max(0.0, float(squared.mean())))
    tokens["decided"] = tokens["advantage"].abs() > tokens["reach"]
    tokens["nothing"] = tokens["advantage"].abs() + tokens["reach"] < small
    return Yardstick(
        tokens[["seed", "problem_id", "response", "position", "entropy", "advantage", "decided", "nothing"]],
        _by_text(states),
        {
            CREDIT: _target(squared, np.abs(parts[0]), tokens["response"]),
            INFORMATION: _target(products, own_products, tokens["response"]),
        },
        signed=(parts[1] + parts[2]) / 2,
        own_signed=parts[0],
        refused=int((~known).sum()),
    )


def unit_ranks(values: np.ndarray, groups: pd.Series | np.ndarray) -> np.ndarray:
    """Ranks of each column of ``values`` [N, K] within ``groups`` [N], ties shared, centred and of length one; zero where all are equal.

    The sum over a group of the products of two such columns is Spearman's correlation.
    """
    codes = pd.factorize(groups)[0]
    ranks = pd.DataFrame(values).groupby(codes).rank()
    centred = ranks - ranks.groupby(codes).transform("mean")
    length = np.sqrt((centred**2).groupby(codes).transform("sum")).to_numpy()
    return np.divide(centred.to_numpy(), length, out=np.zeros_like(length), where=length > 0)


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class _Continued:
    """The B tokens that were tried at S states with several candidates: pi among them, counts, the state of each, and which was taken."""

    share: np.ndarray
    right: np.ndarray
    trials: np.ndarray
    starts: np.ndarray
    state: np.ndarray
    taken: np.ndarray

    @classmethod
    def of(cls, states: pd.DataFrame, branches: pd.DataFrame, counts: np.ndarray) -> _Continued:
        starts, state = np.cumsum(counts) - counts, np.repeat(np.arange(len(counts)), counts)
        probability, right = branches["probability"].to_numpy(), branches["right"].to_numpy()
        return cls(
            share=probability / np.add.reduceat(probability, starts)[state] if len(counts) else probability,
            right=right,
            trials=right + branches["wrong"].to_numpy(),
            starts=starts,
            state=state,
            taken=np.flatnonzero(branches["token_id"].to_numpy() == states["token_id"].to_numpy()[state]),
        )

    def advantages(self) -> np.ndarray:
        """Q - V of the token taken, and the half-width of its 95 % interval, [S, 2]."""
        found = np.zeros((len(self.starts), 2))
        ends = np.append(self.starts, len(self.share))[1:]
        for index, (start, end, taken) in enumerate(zip(self.starts, ends, self.taken, strict=True)):
            own = slice(start, end)
            value, se = advantages(Branches(self.share[own], self.right[own], self.trials[own]))
            found[index] = value[taken - start], NORMAL * se[taken - start]
        return found

    def dealt(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q - V of the token taken in each part, [PARTS, S, K]; I to second order from the last two parts, [S, K], and from the first."""
        if not len(self.starts):
            return np.zeros((PARTS, 0, SPLITS)), np.zeros((0, SPLITS)), np.zeros((0, SPLITS))
        left, tokens = np.repeat(self.right[:, None], SPLITS, axis=1), np.repeat(self.trials[:, None], SPLITS, axis=1)
        differences = []
        for part in range(PARTS):
            drawn = tokens // (PARTS - part)
            right = rng.hypergeometric(left, tokens - left, drawn)
            left, tokens = left - right, tokens - drawn
            differences.append(self._from_value(right / drawn))
        value = self._mean((self.right / self.trials)[:, None])
        chance = 2 * value * (1 - value)
        # Where every continuation ended alike nothing is known to differ.
        scale = np.divide(1, chance, out=np.zeros_like(chance), where=chance > 0)
        own, first, second = differences
        return np.stack(differences)[:, self.taken], scale * self._mean(first * second), scale * self._mean(own**2)

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over the tokens of each state, by their probability: [B, K] to [S, K]."""
        return np.add.reduceat(self.share[:, None] * values, self.starts)

    def _from_value(self, values: np.ndarray) -> np.ndarray:
        return values - self._mean(values)[self.state]


def _scattered(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``values`` [..., S, K] at the ``places`` [N] of the tokens that they are of, zero at the others: [..., N, K]."""
    found = np.zeros((*values.shape[:-2], len(places), values.shape[-1]))
    found[..., places, :] = values
    return found


def _target(value: np.ndarray, own: np.ndarray, responses: pd.Series) -> Target:
    limit = np.quantile(value, 1 - TOP, axis=0)
    top = ((value >= limit) & (value > 0)).astype(float) - ((value <= -limit) & (value < 0))
    return Target(value, unit_ranks(value, responses), top, own)


def _by_text(states: pd.DataFrame) -> dict[tuple, int]:
    """The number of each response by its seed, problem, sample and tokens."""
    named = states.groupby("response")
    names = named[["seed", "problem_id", "sample"]].first().itertuples(index=False, name=None)
    return {
        (*name, text): index for index, (name, text) in enumerate(zip(names, named["token_id"].agg(tuple), strict=True))
    }
