"""The shift of a token once the policy is told the answer, against what the token changed in the chance to be right.

D_t = log pi(y_t | x, z, y_<t) - log pi(y_t | x, y_<t) with the gold answer z in the prompt. Methods of hindsight take the policy that is
told z for the posterior of the policy given that it will be right (arXiv 2604.03128, Theorem 4; 2605.11613: posterior compatibility). Then

    D_t = log Q(s_t, y_t) / V(s_t) = log V_t / V_t-1

at every token, V_t being the chance to be right after it. Both sides are measured here. Of few continuations log Q / V is undefined or
biased, sums of Q and of V are not: over any tokens that D tells apart, sum Q = sum V exp(D) where the two agree.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tokencredit.analysis.credit import states
from tokencredit.analysis.credit.agreement import Credit, agreement
from tokencredit.analysis.credit.reference import NORMAL, RESPONSE, STATE, Yardstick, base_yardstick
from tokencredit.analysis.credit.states import over, over_problems
from tokencredit.analysis.store import Store
from tokencredit.config.claim_keys import BASE
from tokencredit.errors import UserError
from tokencredit.statistics import NAN
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import AttributionFolder

BINS = 10
SHIFT, DECILE, AGREEMENT, ALL = "shift", "decile", "agreement", "all"
METRICS = ("signed", "direction", "rho", "auc")
_COLUMNS = ["problem_id", "cell", "sample", "position", "logprob", "told_logprob", "told_kl"]


def records(store: Store) -> pd.DataFrame:
    """One record per group of the base model's measured tokens, all seeds together; intervals (…_low, …_high) over problems.

    parts ``all`` and ``shift``, of the states with several candidates, together and in ``BINS`` bins of D with as many each: expected,
    log(sum V exp(D) / sum V), and measured, log(sum Q / sum V), in nats; shift, the mean of D; missing where nothing was right.

    part ``decile``, of all states by entropy: entropy, information and told_kl, the means of H, I and KL(pi told || pi); size, the mean of
    |D|, all in nats; beyond, the share of tokens with |D| > H, and measured_beyond, the share whose measured log Q / V is beyond H with
    its whole 95 % interval. H bounds I, a mean over tokens; it bounds neither D nor log Q / V of one token.

    part ``agreement``: those of ``METRICS`` (``agreement.agreement``) of D as an advantage, in ``value``.
    """
    found = shifted(store)
    several = found[found["value"].notna()]
    rank = np.ceil(BINS * several["shift"].rank(method="first", pct=True)).astype(int)
    lines = [{"part": ALL, "group": ALL} | _compared(several)]
    for number in sorted(set(rank)):
        own = several[rank == number]
        ends = {"from": own["shift"].min(), "to": own["shift"].max()}
        lines.append({"part": SHIFT, "group": str(number)} | ends | _compared(own))
    for number in sorted(set(found["decile"])):
        lines.append({"part": DECILE, "group": str(number)} | _of_entropy(found[found["decile"] == number]))
    yard = base_yardstick(store)
    said = agreement(yard, credit(store, yard))
    said = said[said["metric"].isin(METRICS)].rename(
        columns={"metric": "group", "low": "value_low", "high": "value_high"}
    )
    return pd.concat([pd.DataFrame(lines), said.assign(part=AGREEMENT)], ignore_index=True)


def shifted(store: Store) -> pd.DataFrame:
    """``states.policy_states`` of the base model with ``shift``, D of the token taken, and ``told_kl``, both in nats."""
    return _with_shift(store, states.policy_states(store, BASE)[0])


def credit(store: Store, yard: Yardstick) -> Credit:
    """D as the advantage of each token of the yardstick."""
    rows = [row for row in measured_rows(store.study) if row.method is None]
    measured = pd.concat([store.oracle(row)[0].assign(seed=row.seed) for row in rows])
    named = measured[STATE].assign(response=measured.groupby(RESPONSE).ngroup())
    shift = _with_shift(store, named)[["response", "position", "shift"]]
    own = yard.tokens[["response", "position"]].merge(shift, how="left", validate="one_to_one")
    return Credit(np.arange(len(own)), own[["shift"]].to_numpy(float))


def _with_shift(store: Store, measured: pd.DataFrame) -> pd.DataFrame:
    table = store.attribution(AttributionFolder.hindsight, _COLUMNS)
    table = table.assign(shift=table["told_logprob"] - table["logprob"])[[*STATE, "shift", "told_kl"]]
    found = measured.merge(table, on=STATE, how="left", validate="one_to_one")
    if found["shift"].isna().any():
        raise UserError(
            f"{store.paths.own / 'attribution'}: {found['shift'].isna().sum()} of the {len(found)} measured tokens are missing. "
            f"Make it again: snakemake --forcerun attribute"
        )
    return found


def _compared(own: pd.DataFrame) -> dict[str, float]:
    value, after = own["value"], own["value"] + own["advantage"]
    sums = pd.DataFrame({"value": value, "after": after, "told": value * np.exp(own["shift"])})
    found = over_problems(sums, own["problem_id"], lambda of: {"expected": _log(of, 2), "measured": _log(of, 1)})
    return {"states": len(own), "problems": own["problem_id"].nunique(), "shift": own["shift"].mean()} | found


def _log(sums: np.ndarray, part: int) -> np.ndarray:
    """log of a sum over the first; missing where one of them is not above zero."""
    ratio = np.asarray(over(sums[..., part], sums[..., 0]), float)
    return np.log(ratio, out=np.full(ratio.shape, NAN), where=ratio > 0)


def _of_entropy(own: pd.DataFrame) -> dict[str, float]:
    reach = NORMAL * own["advantage_se"]
    nearest = np.sign(own["advantage"]) * (own["advantage"].abs() - reach).clip(lower=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        resolved = np.abs(np.log1p(nearest / own["value"])) > own["entropy"]
    columns = {
        "states": 1.0,
        **{name: own[name] for name in ("entropy", "information", "told_kl")},
        "size": own["shift"].abs(),
        "beyond": own["shift"].abs() > own["entropy"],
        "measured_beyond": resolved,
    }
    sums = pd.DataFrame(columns, index=own.index).astype(float)
    return {"states": len(own), "problems": own["problem_id"].nunique()} | over_problems(
        sums, own["problem_id"], _means(list(columns)[1:])
    )


def _means(names: list[str]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    return lambda sums: {name: over(sums[..., place], sums[..., 0]) for place, name in enumerate(names, 1)}
