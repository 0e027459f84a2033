"""Each measure of agreement less its null: what the same weights do when every response deals its own anew to its tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokencredit.analysis.credit.agreement import Credit, measures_of, sums_of
from tokencredit.analysis.credit.reference import Yardstick
from tokencredit.analysis.credit.states import ends, over, problem_draws
from tokencredit.seeds import generator
from tokencredit.statistics import NAN

ALTERNATIVES = "alternatives"
MEASURES = (
    *("rho", "rho_information", "signed", "auc", "auc_information", "lift", "lift_information", "nothing"),
    ALTERNATIVES,
)
DEALT = 20  # times that weights are dealt anew


def beyond_null(yard: Yardstick, credit: Credit) -> pd.DataFrame:
    """One line per metric: value, null and less (value - null), the first and the last with 95 % intervals over problems, and n.

    The measures are those of ``agreement``, and ``alternatives``, after the ranking of alternative steps in arXiv 2410.01679: of two
    different tokens that responses to a problem took at the same state, and whose Q differ by more than the interval of their difference,
    how often the better one has the larger advantage, ties counting one half; n pairs. Two parts of the continuations say which is better,
    so that advantages made from the third are judged by others.

    null: the mean over ``DEALT`` random orders of the advantages within each response. It keeps what a method gives a response and how
    unequal its weights are, and takes away where they lie: 0 for rho, one half for auc and 1 for lift in expectation, and what the outcome
    alone tells for signed and alternatives. Equal weights are their own null. All are missing without a compared token.
    """
    if not len(credit.rows):
        columns = ("value", "low", "high", "null", "less", "less_low", "less_high")
        return pd.DataFrame({"metric": MEASURES, **dict.fromkeys(columns, NAN), "n": 0})
    tokens = yard.tokens.iloc[credit.rows].reset_index(drop=True)
    rng = generator("beyond null", len(tokens))
    parts = [_by_problem(yard, each, tokens, rng) for each in (credit, _dealt(credit, tokens["response"], rng))]
    problems = len(parts[0])
    drawn = problem_draws(problems)
    (found, null), (resampled, null_resampled) = (
        [_measures(dict(zip(part, of(part), strict=True))) for part in parts]
        for of in (lambda part: part.sum().to_numpy(), lambda part: (drawn @ part.to_numpy()).T)
    )
    lines = []
    for name in MEASURES:
        (value, n), chance = found[name], null[name][0]
        low, high = ends(resampled[name][0], problems)
        less_low, less_high = ends(resampled[name][0] - null_resampled[name][0], problems)
        line = {"metric": name, "value": value, "low": low, "high": high, "null": chance, "less": value - chance}
        numbers = {key: each if key == "metric" else float(each) for key, each in line.items()}
        lines.append(numbers | {"less_low": float(less_low), "less_high": float(less_high), "n": round(float(n))})
    return pd.DataFrame(lines)


def _dealt(credit: Credit, response: pd.Series, rng: np.random.Generator) -> Credit:
    """``credit`` with its advantages and weights in ``DEALT`` random orders within each response, whose tokens are neighbours."""
    noise = rng.random((DEALT, len(response)))
    orders = np.stack([np.lexsort((each, response.to_numpy())) for each in noise], axis=1)

    def anew(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values[:, np.arange(DEALT) % values.shape[1]], orders, axis=0)

    weights = credit.weights and {target: anew(values) for target, values in credit.weights.items()}
    return Credit(credit.rows, anew(credit.advantage), weights)


def _by_problem(yard: Yardstick, credit: Credit, tokens: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The sums that the measures are made of, one line per problem."""
    sums = pd.DataFrame(sums_of(yard, credit, tokens, rng)).groupby(tokens["problem_id"]).sum()
    return sums.join(_alternatives(yard, credit, tokens), how="left").fillna({"pairs": 0.0, "ranked": 0.0})


def _alternatives(yard: Yardstick, credit: Credit, tokens: pd.DataFrame) -> pd.DataFrame:
    """By problem, means over the splits: the pairs of alternatives whose Q differ, and those among them that are ranked right."""
    at = tokens[["problem_id", "state", "token_id"]].assign(row=np.arange(len(tokens)))
    pairs = at[at.duplicated("state", keep=False)].merge(at, on=["problem_id", "state"])
    pairs = pairs[(pairs["row_x"] < pairs["row_y"]) & (pairs["token_id_x"] != pairs["token_id_y"])]
    one, other = pairs["row_x"].to_numpy(), pairs["row_y"].to_numpy()
    signed, reach = yard.signed[credit.rows], tokens["reach"].to_numpy()
    apart = signed[one] - signed[other]
    # Two of three parts of the continuations.
    differ = np.abs(apart) > np.sqrt(1.5) * np.hypot(reach[one], reach[other])[:, None]
    better = np.sign(credit.advantage[one] - credit.advantage[other]) * np.sign(apart)
    sums = {"pairs": differ.mean(1), "ranked": (differ * (1 + better) / 2).mean(1)}
    return pd.DataFrame(sums).groupby(pairs["problem_id"].to_numpy()).sum()


def _measures(sums: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return measures_of(sums) | {ALTERNATIVES: (over(sums["ranked"], sums["pairs"]), sums["pairs"])}
