"""The measured credit of tokens as a reference (yardstick) for token weights.

The reference is constructed so that measurement noise lowers a method's agreement and does not create it: exactly where there is no
credit, nearly elsewhere. The size of a measured Q - V cannot be ranked as it is: noise makes |Q - V| large at tokens of high entropy, and
it is zero where only one token was possible, so weights that follow entropy would agree with a measurement in which no token has any
credit. Therefore the continuations of every token are split into three parts, at random and several times:

- The product of Q - V in one part and Q - V in another is (Q - V)^2 in expectation, so its means and sums have no bias.
- The same holds for the mean of such products over all tokens of a state. Divided by 2 V (1 - V), this mean is I(token; reward | context)
  to the second order in the differences of Q.
- Ranks are not means. Where V is near 0 or 1 the noise is skewed, and entropy-following weights correlate with the ranks of pure noise. So
  the outcomes of a state are also shuffled among the continuations of its tokens. This *measurement of nothing* keeps V and the noise and
  removes all credit; its ranks are subtracted.
- The third part gives weights of the oracle's own: how well that many continuations know the credit that the other two parts show.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.errors import UserError
from tokencredit.oracle.estimate import Branches, advantages
from tokencredit.seeds import generator
from tokencredit.statistics import NAN
from tokencredit.study.measurements import measured_rows

SPLITS, PARTS = 20, 3
SMALL = 0.1  # a credit below this part of the root mean square of all is called none
NORMAL = 1.96  # of a 95 % interval
CREDIT, INFORMATION = "credit", "information"
RESPONSE = ["seed", "problem_id", "cell", "sample"]
STATE = [*RESPONSE, "position"]
_TOKENS = [
    *("seed", "problem_id", "response", "position", "state", "token_id"),
    *("entropy", "advantage", "reach", "decided", "nothing"),
]


@dataclass(frozen=True)
class Target:
    """One quantity of all N measured tokens, for each of the K splits of the continuations: [N, K].

    value: without bias, so it may be negative. rank: its ranks within responses (``unit_ranks``), minus those of a measurement of nothing.
    own: the quantity by the third part.
    """

    value: np.ndarray
    rank: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Yardstick:
    """What is measured of N tokens of stored responses.

    tokens [N]: seed, problem_id, response (a number), position, state (a number: the same for equal beginnings of a problem's responses),
    token_id, entropy (nats), advantage (Q - V from all continuations, in shares of right responses; 0 where one token has nearly all the
    probability), reach (the half-width of its 95 % interval), decided (the interval leaves out zero), nothing (it lies within ``SMALL``
    times the root mean square of Q - V on either side of zero). responses: the number of each by (seed, problem_id, sample, token ids).
    targets: (Q - V)^2 and I. signed, own_signed [N, K]: Q - V in the two parts behind the targets, and in the third; signed_nothing [N, K]:
    ``signed`` in a measurement of nothing. own_value [N, K]: V of the state before the token in the third part, missing where one token has
    nearly all the probability. refused: the number of tokens left out because a candidate has too few graded continuations.
    """

    tokens: pd.DataFrame
    responses: dict[tuple, int]
    targets: dict[str, Target]
    signed: np.ndarray
    signed_nothing: np.ndarray
    own_signed: np.ndarray
    own_value: np.ndarray
    refused: int


def yardstick(store: Store, rows: list[Row]) -> Yardstick:
    """The yardstick from the measured policies ``rows``, one per training seed. ``UserError`` if no token is measured."""
    tables = [[part.assign(seed=row.seed) for part in store.oracle(row)] for row in rows]
    states, branches = (pd.concat(parts) for parts in zip(*tables, strict=True))
    return yardstick_of(states, branches, store.paths.own / "oracle")


def base_yardstick(store: Store) -> Yardstick:
    """The yardstick of the base model, under all training seeds."""
    return yardstick(store, [row for row in measured_rows(store.study) if row.method is None])


def yardstick_of(states: pd.DataFrame, branches: pd.DataFrame, where: str | Path) -> Yardstick:
    """The yardstick from measured states and the tokens tried at them, as ``Store.oracle`` has them, with a column ``seed``.

    ``where``: what an error names. ``UserError`` if no token is measured.
    """
    states, branches = (table.sort_values(STATE, ignore_index=True) for table in (states, branches))
    states["response"] = states.groupby(RESPONSE).ngroup()
    states["state"] = state_numbers(states)
    counts = branches.groupby(STATE).size().to_numpy()
    fewest = (branches["right"] + branches["wrong"]).groupby([branches[name] for name in STATE]).min().to_numpy()
    is_open, known = counts > 1, (counts == 1) | (fewest >= PARTS)
    if not known.any():
        raise UserError(
            f"{where}: no token could be measured: each has a candidate with fewer than {PARTS} graded continuations."
        )
    tried = branches["probability"].groupby([branches[name] for name in STATE]).sum().clip(upper=1).to_numpy()
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
        tokens[_TOKENS],
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
        own_value=np.where(is_open[known][:, None], measured.own_value, NAN),
        refused=int((~known).sum()),
    )


def state_numbers(states: pd.DataFrame) -> np.ndarray:
    """[N]: a number for the state before each token, the same for equal beginnings of the responses to a problem under one seed.

    Tokens of a response are neighbours, in their order.
    """
    known: dict[tuple[object, object], int] = {}
    numbers = []
    for seed, problem, position, token in states[["seed", "problem_id", "position", "token_id"]].itertuples(
        index=False
    ):
        if position == 0:
            state = known.setdefault((seed, problem), len(known))
        numbers.append(state)
        state = known.setdefault((state, token), len(known))
    return np.array(numbers)


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
    """For N tokens and K splits, [N, K]: Q - V of the token by the first part, and by the two others; I to second order likewise.

    own_value: V of the state before the token, by the first part.
    """

    own_value: np.ndarray
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
        """The same values at the tokens' ``places`` among M tokens, and zero at the others: [M, K]."""
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
        """Right continuations of each token, the same for every split: [B, K]."""
        return np.repeat(self.right[:, None], SPLITS, axis=1)

    def without_credit(self, rng: np.random.Generator) -> np.ndarray:
        """Right continuations of each token with the outcomes of its state shuffled among all of them: [B, K]."""
        right = self.as_counted()
        for start, end in zip(self.starts, np.append(self.starts, len(self.share))[1:], strict=True):
            drawn = rng.multivariate_hypergeometric(self.trials[start:end], self.right[start:end].sum(), size=SPLITS)
            right[start:end] = drawn.T
        return right

    def dealt(self, right: np.ndarray, rng: np.random.Generator) -> _Dealt:
        """The tokens taken, their continuations (``right`` [B, K] of them right) split into ``PARTS``: [S, K]."""
        if not len(self.starts):
            return _Dealt(*[np.zeros((0, SPLITS))] * len(fields(_Dealt)))
        left, tokens = right, np.repeat(self.trials[:, None], SPLITS, axis=1)
        values, differences = [], []
        for part in range(PARTS):
            drawn = tokens // (PARTS - part)
            own = rng.hypergeometric(left, tokens - left, drawn)
            left, tokens = left - own, tokens - drawn
            values.append(self._mean(own / drawn))
            differences.append(own / drawn - values[-1][self.state])
        value = self._mean((self.right / self.trials)[:, None])
        chance = 2 * value * (1 - value)
        # Where every continuation ended alike nothing is known to differ.
        scale = np.divide(1, chance, out=np.zeros_like(chance), where=chance > 0)
        own, first, second = differences
        return _Dealt(
            values[0],
            own[self.taken],
            first[self.taken],
            second[self.taken],
            own_information=scale * self._mean(own**2),
            information=scale * self._mean(first * second),
        )

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over the tokens of each state, by their probability: [B, K] to [S, K]."""
        return np.add.reduceat(self.share[:, None] * values, self.starts)


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
