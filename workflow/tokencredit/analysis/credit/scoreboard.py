"""The scoreboard: how well each method's token weights agree with the measured credit, and how well the policy that it trains does.

The responses are those of the first step. The base model sampled them, and its credit was measured at their tokens, so a method's weights
on them are what the method would have the base model learn first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis import speed
from tokencredit.analysis.credit import learning
from tokencredit.analysis.credit.agreement import Credit, agreement
from tokencredit.analysis.credit.learning import SCORE
from tokencredit.analysis.credit.reference import PARTS, Yardstick, base_yardstick
from tokencredit.analysis.credit.states import CONFIDENCE
from tokencredit.analysis.layout import Cell, Wide, WideLine, marked, meanings, number
from tokencredit.analysis.scores import lines_of
from tokencredit.analysis.store import Store
from tokencredit.errors import UserError
from tokencredit.seeds import generator
from tokencredit.study.paths import RunFolder

METHOD, PEER = "method", "peer"
EQUAL, ENTROPY, SHUFFLED, RANDOM, ORACLE = "equal", "entropy", "shuffled", "random", "oracle"
PEERS = {
    ORACLE: "A third of the oracle",
    ENTROPY: "The entropy itself",
    EQUAL: "Equal weights",
    RANDOM: "Random weights",
    SHUFFLED: "Shuffled, mean of methods",
}
_NAME = ["seed", "problem_id", "sample"]


@cache  # one store lives as long as its process
def records(store: Store) -> pd.DataFrame:
    """One record per row of the scoreboard and metric: value with its 95 % interval, and n.

    part ``method``: the measures of ``agreement``; ``score``, the mean Avg@n over benchmarks of all seeds in percent, its interval over
    questions; ``speed`` and ``area``, how fast the method learns (``analysis.speed``), in percent, over seeds. part ``peer``: the same
    measures of weights that no method has; ``shuffled`` is the mean over methods, with the range of 95 % of them; ``oracle`` are weights
    from a third of the oracle's continuations, compared with the other two. parts ``answer`` and ``control``: whether methods that agree
    better end higher, and for each against its controls whether it also learns faster; see ``learning``. problems: the number behind a
    row; left_out: responses of the first step that were not measured, because another response has their name; refused: tokens of all
    responses with too few continuations to be split.
    """
    yard = base_yardstick(store)
    lessons = {name: lesson_of(store, yard, name) for name in store.study.methods}
    methods = []
    for name, lesson in lessons.items():
        method = store.study.methods[name]
        found = pd.concat([agreement(yard, lesson.credit), _score(store, name), _speed(store, name)], ignore_index=True)
        known = {"part": METHOD, "method": name, "title": method.title, "left_out": lesson.left_out}
        known |= {"reconstruction": method.reconstruction, "invalid": store.invalid(name)}
        methods.append(found.assign(problems=_problems(yard, lesson.credit), **known))
    table = pd.concat(methods, ignore_index=True)
    said = [learning.over_methods(table), learning.against_controls(store, table)]
    table = pd.concat([table, *_peers(yard, list(lessons.values()), table), *said], ignore_index=True)
    texts = {"title": "", "invalid": "", "outcome": "", "reconstruction": False}
    seeds = " ".join(map(str, store.study.training.seeds))
    columns = ["part", "method", "title", "metric", "value", "low", "high", "n", "p", "outcome"]
    rest = ["problems", "left_out", "reconstruction", "invalid"]
    return table.reindex(columns=[*columns, *rest]).fillna(texts).assign(refused=yard.refused, seeds=seeds)


def equal_weights(table: pd.DataFrame) -> list[str]:
    """The titles of the methods that weigh all tokens of every response alike."""
    methods = table[table["part"] == METHOD]
    n = methods.pivot(index="method", columns="metric", values="n")
    alike = n.index[(n["rho"] > 0) & (n["rho_unequal"] == 0)]
    return methods.loc[methods["method"].isin(alike), "title"].drop_duplicates().tolist()


# ---------------------------------------------------------------- methods


class Lesson(NamedTuple):
    """A method's credit on the measured responses, the group advantage of their tokens [n], and the number of responses not measured."""

    credit: Credit
    group_advantage: np.ndarray
    left_out: int


def lesson_of(store: Store, yard: Yardstick, method: str) -> Lesson:
    """Responses that neither the group advantage nor the method learns from are not compared: no weight is in them."""
    columns = ["step", *_NAME[1:], "position", "token_id", "group_advantage", "advantage", "keep"]
    stored = store.tokens(RunFolder.rollouts, method, columns)
    stored = stored[(stored["step"] == 1) & stored["seed"].isin(yard.tokens["seed"])].sort_values([*_NAME, "position"])
    texts = stored.groupby(_NAME)["token_id"].agg(tuple)
    number = pd.Series(
        [yard.responses.get((*name, text), -1) for name, text in texts.items()], texts.index, name="response"
    )
    stored = stored.join(number, on=_NAME)
    stored["advantage"] = stored["advantage"].where(stored["keep"], 0.0)
    size = stored["advantage"].abs() + stored["group_advantage"].abs()
    taught = size.groupby([stored[name] for name in _NAME]).transform("max") > 0
    if len(number) and (number < 0).all():
        runs = store.run_folder(method, int(stored["seed"].iloc[0])).folder.parent
        raise UserError(
            f"{runs}: none of its {len(number)} responses of the first step is among the {len(yard.responses)} that were measured. "
            f"Measure again: snakemake --forcerun oracle"
        )
    compared = stored[taught & (stored["response"] >= 0)].set_index(["response", "position"])
    place = yard.tokens.reset_index(names="place").set_index(["response", "position"])["place"]
    compared = compared.join(place, how="inner").sort_values("place")
    credit = Credit(compared["place"].to_numpy(), compared[["advantage"]].to_numpy(float))
    return Lesson(credit, compared["group_advantage"].to_numpy(float), int((number < 0).sum()))


def _score(store: Store, method: str) -> pd.DataFrame:
    """Mean Avg@n over the benchmarks, as the results tables have it."""
    shares = [
        line.shares for line in lines_of(store, [row for row in store.study.rows if row.method == method]).values()
    ]
    low, high = statistics.interval_of_mean([share.mean(0) for share in shares])
    value, questions = np.mean([share.mean() for share in shares]), sum(share.shape[1] for share in shares)
    return pd.DataFrame([{"metric": SCORE, "value": 100 * value, "low": 100 * low, "high": 100 * high, "n": questions}])


def _speed(store: Store, method: str) -> pd.DataFrame:
    """How fast the method learns, as Table 1's CSV has it."""
    found = speed.columns(store, method, None)
    ends = {"value": "", "low": "_low", "high": "_high"}
    return pd.DataFrame(
        [
            {"metric": measure, "n": len(store.study.training.seeds)}
            | {key: found[f"{measure}{end}"] for key, end in ends.items()}
            for measure in speed.MEASURES
        ]
    )


def _problems(yard: Yardstick, credit: Credit) -> int:
    return yard.tokens["problem_id"].iloc[credit.rows].nunique()


# ---------------------------------------------------------------- peers


def taught(yard: Yardstick, lessons: Iterable[Lesson]) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of all responses that a method was compared on: their places in the yardstick [n], and their group advantage [n, 1]."""
    group_advantage, found = np.zeros(len(yard.tokens)), np.zeros(len(yard.tokens), bool)
    for lesson in lessons:
        group_advantage[lesson.credit.rows] = lesson.group_advantage
        found[lesson.credit.rows] = True
    rows = np.flatnonzero(found)
    return rows, group_advantage[rows, None]


def oracle_credit(yard: Yardstick, rows: np.ndarray) -> Credit:
    """What a third of the oracle's continuations say of the tokens ``rows``, against the others."""
    return Credit(rows, yard.own_signed[rows], {name: target.own[rows] for name, target in yard.targets.items()})


def entropy_credit(yard: Yardstick, rows: np.ndarray, group_advantage: np.ndarray) -> Credit:
    """The group advantage [n, 1] of the tokens ``rows`` times their entropy."""
    return Credit(rows, group_advantage * yard.tokens[["entropy"]].to_numpy()[rows])


def _peers(yard: Yardstick, lessons: list[Lesson], methods: pd.DataFrame) -> list[pd.DataFrame]:
    """Weights that no method has, of all responses that a method was compared on."""
    rows, plain = taught(yard, lessons)
    credits = {
        ORACLE: oracle_credit(yard, rows),
        ENTROPY: entropy_credit(yard, rows, plain),
        EQUAL: Credit(rows, plain),
        RANDOM: Credit(rows, plain * generator("random weights", len(rows)).random(plain.shape)),
    }
    found = [
        agreement(yard, credit).assign(part=PEER, method=name, title=PEERS[name], problems=_problems(yard, credit))
        for name, credit in credits.items()
    ]
    shuffled = methods.loc[methods["metric"] == "rho_shuffled", "value"]
    low, high = shuffled.quantile([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    line = {"part": PEER, "method": SHUFFLED, "title": PEERS[SHUFFLED], "metric": "rho"}
    return [*found, pd.DataFrame([line | {"value": shuffled.mean(), "low": low, "high": high, "n": len(shuffled)}])]


# ---------------------------------------------------------------- layout

_COLUMNS = {
    "rho": ("Spearman's ρ in a response", "|Q − V|", (1, 2)),
    "rho_information": ("Spearman's ρ in a response", "I", (1, 2)),
    "signed": ("Signed ρ in a group", "Q − V", (1, 2)),
    "auc": ("AUC by credit", "(Q − V)²", (1, 2)),
    "auc_information": ("AUC by credit", "I", (1, 2)),
    "lift": ("Credit per weight", "(Q − V)²", (1, 2)),
    "nothing": ("Weight (%)", "on no credit", (100, 0)),
    "direction": ("Signs (%)", "right", (100, 0)),
    SCORE: ("Score (%)", "mean Avg@n", (1, 1)),
    speed.SPEED: ("Learning (%)", "solve rate", (1, 1)),
    speed.AREA: ("Learning (%)", "area", (1, 1)),
}


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """Peers, then methods, the best agreement first."""
    agreements = table[table["metric"] == "rho"].sort_values("value", ascending=False, kind="stable")
    order = [(PEER, name) for name in PEERS]
    order += [(METHOD, name) for name in agreements.loc[agreements["part"] == METHOD, "method"]]
    found = {key: lines.set_index("metric") for key, lines in table.groupby(["part", "method"])}
    rows = []
    for part, name in (key for key in order if key in found):
        lines = found[part, name]
        first = lines.iloc[0]
        title = marked(first["title"], bool(first["reconstruction"]), first["invalid"])
        cells = [_cell(lines, measure, *shown) for measure, (*_, shown) in _COLUMNS.items()]
        rows.append(WideLine(title, cells, name if part == METHOD else ""))
    columns = [(head, below) for head, below, _ in _COLUMNS.values()]
    return Wide(columns, rows, notes(table, store) + meanings("".join(row.title for row in rows)))


def notes(table: pd.DataFrame, store: Store) -> list[str]:
    """The notes under the table: what follows from the numbers, what they are of, and whose weights are equal."""
    methods = table[table["part"] == METHOD]
    facts = methods.drop_duplicates("method")
    compared = methods.loc[methods["metric"] == "rho", "n"]
    left_out, refused = facts["left_out"].sum(), facts["refused"].iloc[0]
    lines = [
        *learning.in_words(table),
        f"n = {_span(compared)} responses of the first step to {_span(facts['problems'])} problems, training seeds "
        f"{facts['seeds'].iloc[0]}; left out: {left_out:.0f} responses that were not measured, and {refused} tokens of which a "
        f"candidate had fewer than {PARTS} graded continuations.",
        "Intervals: 95 %, over problems; of scores over questions, of learning over training seeds (solve rate: of all groups sampled in "
        f"steps {store.study.speed_steps[0]} to {store.study.speed_steps[-1]}; area: Avg@n on the curve, a mean over all steps).",
        "ρ is 0 in a response whose weights are equal; what it is with a measurement of nothing is subtracted. Noise in the measured "
        "credit hides agreement, for methods and peers alike; AUC (the chance that a unit of credit lies at a token of larger weight than "
        "another) and credit per weight are free of it. What has no credit is known of nearly sure tokens alone.",
    ]
    if equal := equal_weights(table):
        lines.append(
            f"Equal weights in every response, as equal as those of GRPO: {', '.join(equal)}. Where these differ from it they change the "
            "size of whole responses, or the loss."
        )
    if nothing := facts.loc[facts["problems"] == 0, "title"].tolist():
        lines.append(f"Nothing to learn from in the stored responses: {', '.join(nothing)}.")
    return lines


def _cell(lines: pd.DataFrame, measure: str, scale: float, digits: int) -> Cell:
    if measure not in lines.index or math.isnan(lines.loc[measure, "value"]):
        return Cell("–")
    value, low, high = (number(scale * lines.loc[measure, key], digits) for key in ("value", "low", "high"))
    return Cell(value, "" if math.isnan(lines.loc[measure, "low"]) else f"[{low}, {high}]")


def _span(counts: pd.Series) -> str:
    least, most = (f"{count:,.0f}" for count in (counts.min(), counts.max()))
    return least if least == most else f"{least} to {most}"
