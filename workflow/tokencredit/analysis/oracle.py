"""The measured credit of tokens: I(token; reward | context) at every state, against the entropy there, by decile, kind and quadrant."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from tokencredit.analysis.layout import Cell, Wide
from tokencredit.analysis.store import Store
from tokencredit.config import EmbeddedModel, Row
from tokencredit.credit import QUADRANTS
from tokencredit.data.embedded_kinds import token_kinds
from tokencredit.errors import UserError
from tokencredit.oracle import measured_rows
from tokencredit.oracle.estimate import Branches, advantages, binary_entropy, information
from tokencredit.seeds import generator

STATE = ["problem_id", "cell", "sample", "position"]
TOP = 0.2  # the share of tokens of highest entropy that forking tokens are said to be (arXiv 2506.01939)
RESAMPLES, CONFIDENCE = 2000, 0.95
_NONE = float("nan")


def states(store: Store, row: Row) -> tuple[pd.DataFrame, int]:
    """One line per measured state of a policy, and how many could not be measured: a candidate had fewer than two graded continuations.

    Beside the columns of ``states.parquet``: information, se, low, high (nats, ``estimate.information``), value (V), advantage and
    advantage_se (Q - V of the token taken, in shares of right responses), decile of entropy (1 to 10 over all measured states), top (among
    the ``TOP`` share of highest entropy), and for the embedded task the token's kind. Where a single candidate holds the mass, I lies
    between 0 and the entropy of whether the token is another one; V and the advantage are not known.
    """
    table, branches = store.oracle(row)
    measured = [_measured(own, found) for own, found in _by_state(table, branches)]
    found = table.assign(**pd.DataFrame(measured, index=table.index))
    if isinstance(store.study.config.models[row.model], EmbeddedModel):
        found["kind"] = found.groupby(STATE[:-1])["token"].transform(lambda tokens: token_kinds(list(tokens)))
    found = found[found["information"].notna()].reset_index(drop=True)
    if found.empty:
        raise UserError(f"{store.path('oracle', row.path)}: no state could be measured: no continuation was graded.")
    rank = found["entropy"].rank(method="first", pct=True)
    found = found.assign(decile=np.ceil(10 * rank).astype(int), top=rank > 1 - TOP)
    return found, len(table) - len(found)


def records(store: Store) -> pd.DataFrame:
    """One record per policy, seed and group of states: all, the top entropy, each decile of entropy, kind and quadrant.

    entropy: mean H; information: mean I with its interval; ratio: mean I over mean H; share: of the information of all states, with its
    interval. Intervals: percentiles over resampled problems. above: states whose interval of I begins above H, which the bound forbids;
    refused: states that could not be measured.
    """
    return pd.DataFrame([line for row in measured_rows(store.study) for line in _of_policy(store, row)])


def _of_policy(store: Store, row: Row) -> list[dict[str, Any]]:
    found, refused = states(store, row)
    groups = [("all", "all", pd.Series(True, index=found.index)), ("entropy", f"top {TOP:.0%}", found["top"])]
    groups += [("decile", f"{decile}", found["decile"] == decile) for decile in sorted(set(found["decile"]))]
    if "kind" in found:
        groups += [("kind", kind, found["kind"] == kind) for kind in dict.fromkeys(sorted(found["kind"]))]
    groups += [("quadrant", name, found["quadrant"] == index) for index, name in enumerate(QUADRANTS)]
    known = {"policy": row.name, "title": row.title, "seed": row.seed, "refused": refused}
    known |= {"problems": found["problem_id"].nunique()}
    return [
        known | {"part": part, "group": name} | _summary(found, chosen) for part, name, chosen in groups if chosen.any()
    ]


def _summary(found: pd.DataFrame, chosen: pd.Series) -> dict[str, Any]:
    """Means over the ``chosen`` states, and their share of all information."""
    part = found[chosen]
    sums = pd.DataFrame(
        {
            "states": chosen.astype(float),
            "information": found["information"].where(chosen, 0.0),
            "all": found["information"],
        }
    )
    of_problem = sums.groupby(found["problem_id"]).sum().to_numpy()
    drawn = generator("oracle bootstrap", len(of_problem)).multinomial(
        len(of_problem), np.full(len(of_problem), 1 / len(of_problem)), size=RESAMPLES
    )
    mean, share = _ratio(of_problem.sum(0)), _ratio(of_problem.sum(0), below=2)
    means, shares = _ratio(drawn @ of_problem), _ratio(drawn @ of_problem, below=2)
    interval = partial(np.nanquantile, q=[(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = interval(means)
    share_low, share_high = interval(shares) if np.isfinite(shares).any() else (_NONE, _NONE)
    entropy = part["entropy"].mean()
    return {
        "states": len(part),
        "entropy": entropy,
        "information": float(mean),
        "information_low": low,
        "information_high": high,
        "ratio": float(mean) / entropy if entropy > 0 else _NONE,
        "share": float(share),
        "share_low": share_low,
        "share_high": share_high,
        "above": int((part["low"] > part["entropy"]).sum()),
    }


def _ratio(sums: np.ndarray, below: int = 0) -> np.ndarray:
    """Information of the group over its states (0) or over the information of all (2); missing where that is not above zero."""
    divisor = sums[..., below]
    return np.where(divisor > 0, sums[..., 1] / np.where(divisor > 0, divisor, 1), _NONE)


def _by_state(table: pd.DataFrame, branches: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    found = dict(iter(branches.groupby(STATE)))
    return [(own, found[own.problem_id, own.cell, own.sample, own.position]) for own in table.itertuples()]


def _measured(own: Any, found: pd.DataFrame) -> dict[str, float]:
    """What the counts ``found`` say of the state ``own``; all missing where a candidate has fewer than two graded continuations."""
    names = ("information", "se", "low", "high", "value", "advantage", "advantage_se")
    if len(found) == 1:
        most = float(binary_entropy(own.tried))
        return dict(zip(names, (0.0, 0.0, 0.0, most, _NONE, _NONE, _NONE), strict=True))
    trials = (found["right"] + found["wrong"]).to_numpy()
    if (trials < 2).any():
        return dict.fromkeys(names, _NONE)
    seen = Branches(found["probability"].to_numpy(), found["right"].to_numpy(), trials)
    estimate, (advantage, se) = information(seen), advantages(seen)
    taken = found["token_id"].to_numpy().tolist().index(own.token_id)
    value = float(seen.shares @ seen.means)
    numbers = (estimate.value, estimate.se, estimate.low, estimate.high, value, advantage[taken], se[taken])
    return dict(zip(names, map(float, numbers), strict=True))


# ---------------------------------------------------------------- layout

_HEADS = {
    "all": "all states",
    "entropy": "by entropy: ",
    "decile": "decile of entropy ",
    "kind": "",
    "quadrant": "",
}


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """One line per group of states."""
    columns = [("States", ""), ("H (nats)", "mean"), ("I (mnat)", "mean"), ("I/H (%)", ""), ("Share of all I (%)", "")]
    several = len(table[["policy", "seed"]].drop_duplicates()) > 1
    rows = []
    for record in table.to_dict("records"):
        group = record["group"].upper() if record["part"] == "quadrant" else record["group"]
        title = "all states" if record["part"] == "all" else _HEADS[record["part"]] + group
        title = f"{record['title']}, seed {record['seed']}: {title}" if several else title
        cells = [
            Cell(f"{record['states']:,}"),
            Cell(f"{record['entropy']:.3f}"),
            _cell(record, "information", 1000),
            Cell(_number(100 * record["ratio"])),
            _cell(record, "share", 100),
        ]
        rows.append((title, cells))
    everything = table[table["part"] == "all"]
    notes = [
        f"I: the information that the next token holds about the reward, measured by continuing from every plausible next token; H: the "
        f"token's entropy. n = {everything['states'].sum():,} states of responses to {everything['problems'].max()} problems; "
        f"{everything['refused'].sum()} more had too few graded continuations.",
        f"Intervals: {100 * CONFIDENCE:.0f} %, over problems resampled {RESAMPLES:,} times.",
        f"{everything['above'].sum()} states have an interval of I that begins above H, the bound of the paper.",
    ]
    return Wide(columns, rows, notes, long=True)


def _cell(record: dict[str, Any], name: str, scale: float) -> Cell:
    value, low, high = (scale * record[key] for key in (name, f"{name}_low", f"{name}_high"))
    return Cell(_number(value), "" if math.isnan(low) else f"[{_number(low)}, {_number(high)}]")


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}".replace("-", "−")
