"""How well token weights agree with the measured credit of the same tokens. Each measure has an interval over problems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tokencredit.analysis.credit.reference import CREDIT, INFORMATION, Yardstick, unit_ranks
from tokencredit.analysis.credit.states import ends, over, problem_draws
from tokencredit.seeds import generator
from tokencredit.statistics import NAN

MEASURES = (
    *("rho", "rho_information", "rho_unequal", "rho_shuffled", "signed"),
    *("auc", "auc_information", "lift", "lift_information", "nothing", "direction"),
)


@dataclass(frozen=True)
class Credit:
    """A method's advantages and weights for n tokens of the yardstick, those at its places ``rows``: whole responses, in its order.

    advantage: that of each token, 0 for a token that is left out; [n, 1], or [n, K] if it differs between the K splits of the
    continuations. weights: what is compared with each target, of the same shape; without them the size of the advantage.
    """

    rows: np.ndarray
    advantage: np.ndarray
    weights: dict[str, np.ndarray] | None = None

    def weight(self, target: str) -> np.ndarray:
        return self.weights[target] if self.weights else np.abs(self.advantage)


def agreement(yard: Yardstick, credit: Credit) -> pd.DataFrame:
    """One line per metric: value with its 95 % interval (bootstrap over problems), and n.

    n responses: ``rho``, Spearman's correlation of weight and (Q - V)^2 (equally: the size of Q - V) within a response, minus the same
    correlation with a measurement of nothing; 0 if all weights are equal, because ties broken at random have no correlation in expectation.
    ``rho_information``: with I. ``rho_unequal``: rho over the responses whose weights differ. ``rho_shuffled``: rho of the weights shuffled
    within each response.

    n groups: ``signed``, Spearman's correlation of advantage and Q - V over all tokens of a problem's responses, with the same subtraction.

    n tokens, weights relative to the mean of their response: ``auc``, the chance that a unit of (Q - V)^2 lies at a token of larger weight
    than a token drawn from all, one half for equal weights; ``lift``, the mean of (Q - V)^2 per weight over that per token; both also of I.
    ``nothing``: the share of all weight on tokens known to have hardly any credit. ``direction``: of the updated tokens whose Q - V is
    resolved from zero, the share whose advantage has the same sign; missing for a credit that was made from the same continuations.

    Noise in the measurement moves rho and signed towards 0, the value of equal weights, and does not move auc and lift. All are missing if
    n = 0.
    """
    if not len(credit.rows):
        return pd.DataFrame({"metric": MEASURES, "value": NAN, "low": NAN, "high": NAN, "n": 0})
    tokens = yard.tokens.iloc[credit.rows].reset_index(drop=True)
    rng = generator("agreement", len(tokens))
    sums = pd.DataFrame(sums_of(yard, credit, tokens, rng)).groupby(tokens["problem_id"]).sum()
    problems = len(sums)
    drawn = problem_draws(problems) @ sums.to_numpy()
    found = measures_of(sums.sum().to_dict())
    resampled = measures_of(dict(zip(sums, drawn.T, strict=True)))
    lines = []
    for name, (value, n) in found.items():
        low, high = ends(resampled[name][0], problems)
        lines.append({"metric": name, "value": float(value), "low": float(low), "high": float(high), "n": round(n)})
    return pd.DataFrame(lines)


def measures_of(sums: dict[str, ArrayLike]) -> dict[str, tuple[np.ndarray, ArrayLike]]:
    """Each of ``MEASURES`` with its n, from sums (``sums_of``) over one set of problems or over each of several."""
    responses, tokens = sums["responses"], sums["tokens"]
    found = {
        "rho": (over(sums["rho"], responses), responses),
        "rho_information": (over(sums["rho_information"], responses), responses),
        "rho_unequal": (over(sums["rho"], sums["unequal"]), sums["unequal"]),
        "rho_shuffled": (over(sums["rho_shuffled"], responses), responses),
        "signed": (over(sums["signed"], sums["groups"]), sums["groups"]),
    }
    for end in ("", "_information"):
        # Few problems may have so little credit that the noise in it passes it.
        found[f"auc{end}"] = np.clip(over(sums[f"placed{end}"], sums[f"credit{end}"]), 0, 1), tokens
        per_weight = over(sums[f"weighted{end}"], sums[f"weight{end}"])
        found[f"lift{end}"] = over(per_weight, over(sums[f"credit{end}"], tokens)), tokens
    found["nothing"] = over(sums["on_nothing"], sums["weight"]), tokens
    found["direction"] = over(sums["right_way"], sums["decided"]), sums["decided"]
    return {name: found[name] for name in MEASURES}


def sums_of(yard: Yardstick, credit: Credit, tokens: pd.DataFrame, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What each of the compared ``tokens`` adds to the sums, [n], as a mean over the splits of the continuations."""
    response, group = tokens["response"], [tokens["seed"], tokens["problem_id"]]
    sums = {"responses": ~tokens.duplicated("response"), "groups": ~tokens.duplicated(["seed", "problem_id"])}
    sums["tokens"] = np.ones(len(tokens))
    for target, end in ((CREDIT, ""), (INFORMATION, "_information")):
        true, weight = yard.targets[target], credit.weight(target)
        value = true.value[credit.rows]
        relative = _relative(weight, response)
        place = (pd.DataFrame(relative).rank().to_numpy() - 0.5) / len(tokens)
        added = {
            "rho": unit_ranks(weight, response) * true.rank[credit.rows],
            "placed": value * place,
            "weight": relative,
            "weighted": relative * value,
            "credit": value,
        }
        sums |= {f"{name}{end}": values.mean(1) for name, values in added.items()}
    ranks = unit_ranks(credit.weight(CREDIT), response)
    dealt = _dealt_anew(ranks, response.to_numpy(), yard.signed.shape[1], rng)
    sums["rho_shuffled"] = (dealt * yard.targets[CREDIT].rank[credit.rows]).mean(1)
    sums["unequal"] = sums["responses"] & pd.Series((ranks != 0).any(axis=1)).groupby(response).transform("any")
    sums["on_nothing"] = sums["weight"] * tokens["nothing"]
    of_group = pd.MultiIndex.from_arrays(group)
    true, nothing = (unit_ranks(values[credit.rows], of_group) for values in (yard.signed, yard.signed_nothing))
    sums["signed"] = (unit_ranks(credit.advantage, of_group) * (true - nothing)).mean(1)
    same_continuations = credit.advantage.shape[1] > 1
    decided = tokens["decided"] & (credit.advantage[:, 0] != 0) & (not same_continuations)
    sums["decided"] = decided
    sums["right_way"] = decided & (np.sign(credit.advantage[:, 0]) == np.sign(tokens["advantage"]))
    return {name: np.asarray(values, float) for name, values in sums.items()}


def _relative(weight: np.ndarray, response: pd.Series) -> np.ndarray:
    """Weights over the mean of their response, rounded so that equal ones stay equal; 0 in a response that has none."""
    mean = pd.DataFrame(weight).groupby(response).transform("mean").to_numpy()
    return np.divide(weight, mean, out=np.zeros_like(mean), where=mean > 0).round(9)


def _dealt_anew(values: np.ndarray, response: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """``values`` [n, 1] or [n, K] in ``times`` random orders within each response, whose tokens are neighbours."""
    orders = [np.lexsort((noise, response)) for noise in rng.random((times, len(values)))]
    return np.stack([values[order, index % values.shape[1]] for index, order in enumerate(orders)], axis=1)
