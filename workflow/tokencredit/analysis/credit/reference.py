"""The measured credit of tokens as a yardstick for weights: noise in it hides agreement and makes none.

The size of a measured Q - V cannot be ranked as it is. Where the policy is unsure more is left to chance, so noise alone makes |Q - V|
large at tokens of high entropy, while it is zero where one token alone was possible: weights that follow entropy would agree with a
measurement of nothing. Here the continuations of every token tried are dealt into three parts, at random and several times:

- the product of Q - V in one part and Q - V in another is (Q - V)^2 in expectation, so means and sums of it have no bias;
- so it is with the mean of such products over all tokens; divided by 2 V (1 - V) that is I(token; reward | context) to the second order in
  the differences of Q;
- ranks are not means: where V is near 0 or 1 the noise is skewed, and weights that follow entropy agree with the ranks of nothing. So the
  outcomes of a state are also shuffled among the continuations of its tokens, which leaves V and the noise and takes all credit away, and
  the ranks of that measurement of nothing are subtracted;
- the third part gives weights of the oracle's own: how well as many continuations know the credit that the other two show.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import Branches, advantages
from tokencredit.seeds import generator

SPLITS, PARTS = 20, 3
SMALL = 0.1  # a credit below this part of the root mean square of all is called none
NORMAL = 1.96  # of a 95 % interval
CREDIT, INFORMATION = "credit", "information"
_RESPONSE = ["seed", "problem_id", "cell", "sample"]
_STATE = [*_RESPONSE, "position"]


@dataclass(frozen=True)
class Target:
    """One quantity of all N measured tokens, for each of K times that continuations were dealt: [N, K].

    value: without bias, so also below zero. rank: its ranks within responses, as ``unit_ranks`` gives them, less those of a measurement of
    nothing. own: what the third part says of it.
    """

    value: np.ndarray
    rank: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Yardstick:
    """What is measured of N tokens of stored responses.

    tokens [N]: seed, problem_id, response (a number), position, entropy (nats), advantage (Q - V from all continuations, in shares of right
    responses; 0 where one token has all the probability but so little that it hardly differs from V), decided (its 95 % interval does not
    hold zero), nothing (its interval lies within ``SMALL`` times the root mean square of Q - V on either side of zero).
    responses: the number of each by (seed, problem_id, sample, token ids). targets: (Q - V)^2 and I. signed, own_signed [N, K]: Q - V in
    the two parts behind the targets, and in the third; signed_nothing [N, K]: what ``signed`` is in a measurement of nothing. refused:
    tokens that are left out, for a candidate has too few graded continuations.
    """

    tokens: pd.DataFrame
    responses: dict[tuple, int]
    targets: dict[str, Target]
    signed: np.ndarray
    signed_nothing: np.ndarray
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
            f"{store.paths.own / 'oracle'}: no token could be measured: each has a candidate with fewer than {PARTS} graded continuations."
        )
    tried = branches["probability"].groupby([branches[name] for name in _STATE]).sum().clip(upper=1).to_numpy()
    states = states.assign(advantage=0.0, reach=1 - tried)  # of a token that was possible alone
    continued = branches[np.repeat(is_open & known, counts)]
    apart = _Continued.of(states[is_open & known], continued, counts[is_open & known])
    states.loc[is_open & known, ["advantage", "reach"]] = apart.advantages()
    rng = generator("yardstick", len(continued))
    measured, nothing = (
        apart.dealt(right, rng).among(is_open[known]) for right in (apart.as_counted(), apart.without_credit(rng))
    )

    tokens = states[known].reset_index(drop=True)
    squared = measured.credit
    small = SMALL * np.sqrt(max(0.0, float(squared.mean())))
    tokens["decided"] = tokens["advantage"].abs() > tokens["reach"]
    tokens["nothing"] = tokens["advantage"].abs() + tokens["reach"] < small
    return Yardstick(
        tokens[["seed", "problem_id", "response", "position", "entropy", "advantage", "decided", "nothing"]],
        _by_text(states),
        {
            CREDIT: _target(squared, nothing.credit, np.abs(measured.own), tokens["response"]),
            INFORMATION: _target(
                measured.information, nothing.information, measured.own_information, tokens["response"]
            ),
        },
        signed=measured.signed,
        signed_nothing=nothing.signed,
        own_signed=measured.own,
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
class _Dealt:
    """Of N tokens and K deals, [N, K]: Q - V of the token in the first part, and in the two others; I to second order likewise."""

    own: np.ndarray
    first: np.ndarray
    second: np.ndarray
    own_information: np.ndarray
    information: np.ndarray

    @property
    def credit(self) -> np.ndarray:
        return self.first * self.second

    @property
    def signed(self) -> np.ndarray:
        return (self.first + self.second) / 2

    def among(self, places: np.ndarray) -> _Dealt:
        """The same at the ``places`` [M] of the tokens that they are of, and zero at the others: [M, K]."""
        return _Dealt(*(_scattered(getattr(self, each.name), places) for each in fields(self)))


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

    def as_counted(self) -> np.ndarray:
        """Right continuations of each token, the same for every deal: [B, K]."""
        return np.repeat(self.right[:, None], SPLITS, axis=1)

    def without_credit(self, rng: np.random.Generator) -> np.ndarray:
        """Right continuations of each token with the outcomes of its state shuffled among all of them: [B, K]."""
        right = self.as_counted()
        for start, end in zip(self.starts, np.append(self.starts, len(self.share))[1:], strict=True):
            drawn = rng.multivariate_hypergeometric(self.trials[start:end], self.right[start:end].sum(), size=SPLITS)
            right[start:end] = drawn.T
        return right

    def dealt(self, right: np.ndarray, rng: np.random.Generator) -> _Dealt:
        """The tokens taken, their continuations of which ``right`` [B, K] are right dealt into ``PARTS``: [S, K]."""
        if not len(self.starts):
            return _Dealt(*[np.zeros((0, SPLITS))] * len(fields(_Dealt)))
        left, tokens = right, np.repeat(self.trials[:, None], SPLITS, axis=1)
        differences = []
        for part in range(PARTS):
            drawn = tokens // (PARTS - part)
            own = rng.hypergeometric(left, tokens - left, drawn)
            left, tokens = left - own, tokens - drawn
            differences.append(self._from_value(own / drawn))
        value = self._mean((self.right / self.trials)[:, None])
        chance = 2 * value * (1 - value)
        # Where every continuation ended alike nothing is known to differ.
        scale = np.divide(1, chance, out=np.zeros_like(chance), where=chance > 0)
        own, first, second = differences
        return _Dealt(
            own[self.taken],
            first[self.taken],
            second[self.taken],
            own_information=scale * self._mean(own**2),
            information=scale * self._mean(first * second),
        )

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over the tokens of each state, by their probability: [B, K] to [S, K]."""
        return np.add.reduceat(self.share[:, None] * values, self.starts)

    def _from_value(self, values: np.ndarray) -> np.ndarray:
        return values - self._mean(values)[self.state]


def _scattered(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    found = np.zeros((len(places), values.shape[-1]))
    found[places] = values
    return found


def _target(value: np.ndarray, nothing: np.ndarray, own: np.ndarray, responses: pd.Series) -> Target:
    return Target(value, unit_ranks(value, responses) - unit_ranks(nothing, responses), own)


def _by_text(states: pd.DataFrame) -> dict[tuple, int]:
    """The number of each response by its seed, problem, sample and tokens."""
    named = states.groupby("response")
    names = named[["seed", "problem_id", "sample"]].first().itertuples(index=False, name=None)
    return {
        (*name, text): index for index, (name, text) in enumerate(zip(names, named["token_id"].agg(tuple), strict=True))
    }
