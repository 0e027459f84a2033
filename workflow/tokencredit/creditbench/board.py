"""The leaderboard: every method's agreement with measured credit less its null, what training with it was worth, and what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tokencredit import cli, files
from tokencredit.analysis.credit.agreement import Credit
from tokencredit.analysis.credit.beyond_null import beyond_null
from tokencredit.analysis.credit.scoreboard import ENTROPY, ORACLE, PEERS, RANDOM
from tokencredit.analysis.layout import number
from tokencredit.analysis.speed import SPEED
from tokencredit.config import Config
from tokencredit.creditbench import learning
from tokencredit.creditbench.checklist import ITEMS
from tokencredit.creditbench.records import BOARD, CHECKLIST, LEARNING, Measured, Shipped
from tokencredit.creditbench.submission import Submission
from tokencredit.errors import UserError
from tokencredit.seeds import generator

METHOD, REFERENCE, OWN = "method", "reference", "submission"
SHOWN = {
    "auc": ("AUC", 1, 2),
    "rho": ("rank", 1, 2),
    "lift": ("credit per weight", 1, 2),
    "alternatives": ("alternatives (%)", 100, 0),
    "nothing": ("on no credit (%)", 100, 0),
}
NOT_TRAINED = "not trained"


def make(config: Config) -> None:
    """Write the leaderboard of all shipped credits and its figure."""
    from tokencredit.creditbench import figure

    shipped = Shipped.of(config)
    parts = [references(measured) for measured in shipped.policies.values()]
    for name, measured in shipped.policies.items():
        titles = {method: entry.title for method, entry in config.methods.items()}
        for method, advantage in shipped.credits[name].items():
            parts.append(line(measured, METHOD, method, titles[method], advantage))
        lacking = [
            {"policy": name, "part": METHOD, "method": method, "title": titles[method], "reason": reason}
            for method, reason in shipped.left_out[name].items()
        ]
        parts.append(pd.DataFrame(lacking))
    table = pd.concat(parts, ignore_index=True)
    path = shipped.folder / BOARD
    files.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    cli.made([path, *figure.save(shipped, shipped.table(BOARD))])


def line(
    measured: Measured,
    part: str,
    method: str,
    title: str,
    advantage: np.ndarray,
    weights: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """The agreement of one method's advantages [N, 1] or [N, K] with the credit of a policy, one record per measure.

    ``unequal``: whether any response has weights that differ.
    """
    rows, places = measured.rows, np.arange(len(measured.yard.tokens))
    chosen = weights and {target: values[rows] for target, values in weights.items()}
    found = beyond_null(measured.yard, Credit(places, advantage[rows], chosen))
    size = pd.DataFrame(np.abs(advantage)).groupby(measured.tokens["response"].to_numpy())
    unequal = bool((size.max() - size.min() > 1e-9 * size.max()).to_numpy().any())
    known = {"policy": measured.name, "part": part, "method": method, "title": title, "unequal": unequal}
    return found.assign(**known, problems=measured.tokens["problem_id"].nunique())[[*known, *found, "problems"]]


def references(measured: Measured) -> pd.DataFrame:
    """Weights that no method has: what a third of the continuations says, judged by the others; the entropy itself; random ones."""
    tokens, thirds = measured.tokens, measured.thirds
    advantage = tokens["advantage"].to_numpy(float)[:, None]
    weights = {"credit": np.abs(thirds["measured"]), "information": thirds["information"]}
    random = generator("random weights", len(tokens)).random(advantage.shape)
    return pd.concat(
        [
            line(measured, REFERENCE, ORACLE, PEERS[ORACLE], thirds["measured"], weights),
            line(measured, REFERENCE, ENTROPY, PEERS[ENTROPY], advantage * tokens[["entropy"]].to_numpy(float)),
            line(measured, REFERENCE, RANDOM, PEERS[RANDOM], advantage * random),
        ]
    )


def compare(config: Config, submission: Submission | None, out: Path | None) -> pd.DataFrame:
    """The shipped leaderboard, with a method of one's own among its lines. ``out``: where it is written, with its figure."""
    shipped = Shipped.of(config)
    table = shipped.table(BOARD)
    if submission is not None:
        if submission.name in set(table["method"]):
            raise UserError(f"the leaderboard has a method {submission.name!r}; give yours another name.")
        own = [
            line(measured, OWN, submission.name, f"{submission.name} (yours)", submission.credit(measured))
            for measured in shipped.policies.values()
        ]
        table = pd.concat([table, *own], ignore_index=True).fillna({"reason": ""})
    if out is not None:
        from tokencredit.creditbench import figure

        path = out / BOARD
        files.write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
        cli.made([path, *figure.save(shipped, table, out)])
    return table


def ordered(table: pd.DataFrame, policy: str, measure: str) -> pd.DataFrame:
    """One line per method of a policy, the best first: columns (number, measure), and title, part and unequal."""
    own = table[(table["policy"] == policy) & table["metric"].ne("")]
    names = ["value", "low", "high", "null", "less", "less_low", "less_high", "n"]
    wide = own.pivot(index="method", columns="metric", values=names)
    facts = own.drop_duplicates("method").set_index("method")[["title", "part", "unequal"]]
    order = wide["less", measure].fillna(-math.inf).sort_values(ascending=False, kind="stable").index
    facts.columns = pd.MultiIndex.from_product([facts.columns, [""]])
    return wide.join(facts).loc[order]


def shown(shipped: Shipped, table: pd.DataFrame, extra: Callable[[str], str]) -> list[list[str]]:
    """The leaderboard as lines of texts, a head first: agreement at the first policy, the ordering measure at the others, training, cost.

    ``extra``: what a method takes beside training. Training is that of the first study that has it.
    """
    first, *others = shipped.bench.policies
    order, learned, checked = shipped.bench.order, shipped.table(LEARNING), shipped.table(CHECKLIST)
    told = checked[checked["says"] != ""].groupby("method").size()
    asked = _asked(learned)
    head = ["method", *(title for title, _, _ in SHOWN.values())]
    head += [f"{SHOWN[order][0]}, {shipped.bench.policies[name].title}" for name in others]
    lines = [[*head, *asked, "extra", "checklist"]]
    elsewhere = [ordered(table, name, order) for name in others]
    for name, values in ordered(table, first, order).iterrows():
        cells = [interval(values, measure, *scaled) for measure, (_, *scaled) in SHOWN.items()]
        cells += [
            interval(found.loc[name], order, *SHOWN[order][1:]) if name in found.index else "–" for found in elsewhere
        ]
        known = values["part", ""] == METHOD
        cells += _learned(learned, name, asked.values()) if known else [""] * len(asked)
        count = f"{told.get(name, 0)} of {len(ITEMS)}" if known else ""
        lines.append([values["title", ""], *cells, extra(name) if known else "", count])
    return lines


def interval(values: pd.Series, measure: str, scale: float, digits: int) -> str:
    """A measure less its null, with its interval."""
    value, low, high = (scale * values[name, measure] for name in ("less", "less_low", "less_high"))
    if math.isnan(value):
        return "–"
    ends = "" if low == high or math.isnan(low) else f" [{number(low, digits)}, {number(high, digits)}]"
    return f"{number(value, digits)}{ends}"


def _asked(learned: pd.DataFrame) -> dict[str, tuple[str, str, float]]:
    """What is shown of training: titles, each with a metric, a role and a scale. Positive controls are, where a study trained one."""
    found = {
        "end (%)": (learning.SCORE, learning.OWN, 1.0),
        "end − control": (learning.SCORE, learning.CONTROL, 1.0),
        "speed − control": (SPEED, learning.CONTROL, 1.0),
        "end − baseline": (learning.SCORE, learning.BASELINE, 1.0),
        "sampled tokens (thousands)": ("sampled_tokens", learning.OWN, 1e-3),
    }
    if (learned["role"] == learning.POSITIVE).any():
        found["end − measured credit"] = (learning.SCORE, learning.POSITIVE, 1.0)
        found["measuring tokens (thousands)"] = ("measured_tokens", learning.OWN, 1e-3)
    return found


def _learned(learned: pd.DataFrame, method: str, asked: Iterable[tuple[str, str, float]]) -> list[str]:
    """Numbers of the training records, each of the first study that has it."""
    asked = list(asked)
    own = learned[learned["method"] == method]
    if own.empty:
        return [NOT_TRAINED, *[""] * (len(asked) - 1)]
    cells = []
    for metric, role, scale in asked:
        found = own[(own["metric"] == metric) & (own["role"] == role)]
        if found.empty:
            cells.append("–")
            continue
        digits = 1 if scale == 1 else 0
        value, low, high = (number(scale * found.iloc[0][key], digits) for key in ("value", "low", "high"))
        cells.append(f"{value} [{low}, {high}]")
    return cells
