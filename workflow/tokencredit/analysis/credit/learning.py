"""Does better credit give better learning? Tested over the scoreboard's methods, and for each against its own controls.

Over methods, agreement and score may correlate for many reasons, because methods differ in more than where their weights lie. A control
is the method itself with as much weight on other tokens, so the difference between them is due to where the weights lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tokencredit import statistics
from tokencredit.analysis import speed
from tokencredit.analysis.credit.states import CONFIDENCE, RESAMPLES
from tokencredit.analysis.layout import number
from tokencredit.analysis.scores import LEVEL, NOT_RESOLVED, lines_of
from tokencredit.analysis.speed import AREA, SPEED
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.seeds import generator
from tokencredit.statistics import NAN
from tokencredit.study.selection import paired

ANSWER, CONTROL = "answer", "control"
SCORE = "score"
GAINS = {SCORE: "score", SPEED: "solve rate", AREA: "area under the curve"}  # what a method may have of better credit
ASKED = {"rho": "|Q − V|", "rho_information": "I", "signed": "signed Q − V", "lift": "credit per weight"}
FEWEST = 8  # methods that a correlation over methods is taken of
PERMUTATIONS = 9999
SHOWN, CONTRADICTED, NOT_MEASURED = "shown", "contradicted", "not measured"


def over_methods(methods: pd.DataFrame) -> pd.DataFrame:
    """The ``answer`` records of ``methods``, their own records: Spearman's correlation of each agreement of ``ASKED`` and the score.

    With an interval (bootstrap over methods), p (permutations, Holm-adjusted over ``ASKED``) and an outcome; n sound methods, those without
    an invalid run; not measured where they are fewer than ``FEWEST``.
    """
    values = methods[methods["invalid"] == ""].pivot(index="method", columns="metric", values="value")
    lines = []
    for measure in ASKED:
        known = values[[measure, SCORE]].dropna()
        line = {"part": ANSWER, "method": "all", "metric": measure, "n": len(known), "outcome": NOT_MEASURED}
        lines.append(line | (correlation(*known.to_numpy().T) if len(known) >= FEWEST else _UNKNOWN))
    table = _adjusted(pd.DataFrame(lines))
    asked = table["p"].notna()
    decided = (table["p"] < LEVEL) & ~((table["low"] <= 0) & (table["high"] >= 0))
    table.loc[asked, "outcome"] = NOT_RESOLVED
    table.loc[asked & decided, "outcome"] = np.where(table.loc[asked & decided, "value"] > 0, SHOWN, CONTRADICTED)
    return table


def against_controls(store: Store, methods: pd.DataFrame) -> pd.DataFrame:
    """The ``control`` records: every method less each of its controls in the study, named by the control.

    ``rho``: of the agreements in ``methods``, the methods' own records. ``score``: of mean Avg@n in points, with interval and p over
    questions and training seeds (``two_level_difference``), n questions. ``speed``, ``area``: of how fast the two learn
    (``analysis.speed``), in points, over training seeds, n of them. p is Holm-adjusted over the controls. Each has an outcome: whether the
    method or control whose weights agree better ends higher, or learns faster. Not measured if one of the two has an invalid run or no
    agreement; not resolved with one training seed, which says nothing about other runs.
    """
    rho = methods[methods["metric"] == "rho"].set_index("method")["value"]
    lines = []
    for control, method in controls(store.study).items():
        known = {"part": CONTROL, "method": control, "title": " − ".join(_titles(store.study, method, control))}
        apart = rho[method] - rho[control]
        lines.append(known | {"metric": "rho", "value": apart, "n": 2})
        sound = not (np.isnan(apart) or store.invalid(method) or store.invalid(control))
        for metric in GAINS:
            line = known | {"metric": metric, "outcome": NOT_MEASURED} | _UNKNOWN
            lines.append(line | (_difference(store, metric, method, control) if sound else {}))
    if not lines:
        return pd.DataFrame()
    table = pd.concat(
        [_adjusted(family) for _, family in pd.DataFrame(lines).groupby("metric", sort=False)]
    ).sort_index()
    asked = table["p"].notna()
    apart = table["method"].map(table[table["metric"] == "rho"].set_index("method")["value"])
    decided = asked & (table["p"] < LEVEL) & (apart != 0)
    table.loc[asked, "outcome"] = NOT_RESOLVED
    table.loc[decided, "outcome"] = np.where((table["value"] * apart)[decided] > 0, SHOWN, CONTRADICTED)
    return table


def controls(study: Study) -> dict[str, str]:
    """The controls of a study, each with the method of the study that it is a control of."""
    plain = {_recipe(method): name for name, method in study.methods.items() if method.control is None}
    of = {name: plain.get(_recipe(method)) for name, method in study.methods.items() if method.control}
    return {control: method for control, method in of.items() if method}


def in_words(table: pd.DataFrame) -> list[str]:
    """The conclusions from the records of a scoreboard, as sentences."""
    found = table[table["part"] == CONTROL]
    apart = found[found["metric"] == "rho"].set_index("method")
    gains = found[(found["metric"] != "rho") & (found["outcome"] != NOT_MEASURED)]
    if gains.empty:
        return [_over_methods_in_words(table)]
    said = [
        f"{lines['title'].iloc[0]}: ρ {number(apart.loc[name, 'value'], 2)}, "
        + ", ".join(
            f"{GAINS[line['metric']]} {_with_interval(line, 1, ' points')}, {line['outcome']}"
            for _, line in lines.iterrows()
        )
        for name, lines in gains.groupby("method", sort=False)
    ]
    return [
        _over_methods_in_words(table),
        "Does the one that agrees better end higher, or learn faster, where as much weight lies on other tokens? A method less its "
        f"control: {'; '.join(said)}. Intervals: 95 %, of scores over questions and training seeds, of solve rate and area over seeds; p: "
        f"Holm-adjusted over {len(said)}.",
    ]


def correlation(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Spearman's correlation of x and y [n]: value, low, high (95 %, bootstrap over the pairs, percentiles), p (permutations, two-sided).

    All missing where one of the two does not vary.
    """
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return _UNKNOWN
    rng = generator("scoreboard", len(x))
    value = float(stats.spearmanr(x, y).statistic)
    drawn = rng.integers(len(x), size=(RESAMPLES, len(x)))
    low, high = np.nanquantile(_pearson(*(stats.rankdata(of[drawn], axis=1) for of in (x, y))), _ENDS)
    permuted = rng.permuted(np.tile(stats.rankdata(y), (PERMUTATIONS, 1)), axis=1)
    by_chance = _pearson(np.broadcast_to(stats.rankdata(x), permuted.shape), permuted)
    # As far from zero as the observed one, to a rounding; the observed one is counted in.
    p = (np.sum(np.abs(by_chance) >= abs(value) - 1e-12) + 1) / (PERMUTATIONS + 1)
    return {"value": value, "low": float(low), "high": float(high), "p": float(p)}


_ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
_UNKNOWN = dict.fromkeys(("value", "low", "high", "p"), NAN)


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The correlation of each line, missing where one of the two does not vary."""
    x, y = (values - values.mean(1, keepdims=True) for values in (x, y))
    length = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.divide((x * y).sum(1), length, out=np.full(length.shape, NAN), where=length > 0)


def _recipe(method: Any) -> str:
    """What a control shares with its method: everything that decides a run but ``control`` itself."""
    return method.model_dump_json(exclude={"title", "control"})


def _titles(study: Study, *methods: str) -> list[str]:
    return [study.methods[name].title for name in methods]


def _difference(store: Store, metric: str, method: str, control: str) -> dict[str, float]:
    """One of ``GAINS`` of the method less its control's, in points."""
    if metric != SCORE:
        of_runs = speed.difference(store, metric, method, control, CONFIDENCE)
        return _in_points(of_runs) | {"n": len(store.study.training.seeds)}
    scored = [
        lines_of(store, [row for row in store.study.rows if row.method == name]).values() for name in (method, control)
    ]
    found = statistics.two_level_difference(*map(list, scored), CONFIDENCE, paired=paired(store.study, method, control))
    return _in_points(found) | {"n": sum(line.shares.shape[1] for line in scored[0])}


def _in_points(found: statistics.TwoLevel) -> dict[str, float]:
    """One training seed decides nothing: p is then 1."""
    values = {key: 100 * getattr(found, each) for key, each in (("value", "mean"), ("low", "low"), ("high", "high"))}
    return values | {"p": found.p if found.seeds is not None else 1.0}


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """``table`` with its p adjusted by Holm's method."""
    asked = table["p"].notna()
    table.loc[asked, "p"] = statistics.holm(table.loc[asked, "p"])
    return table


def _over_methods_in_words(table: pd.DataFrame) -> str:
    found = table[table["part"] == ANSWER].set_index("metric")
    first, others = found.loc["rho"], found.drop(index="rho")
    asked = "Does better credit give better learning?"
    if first["outcome"] == NOT_MEASURED:
        return (
            f"{asked} Not measured: {first['n']} sound methods; {FEWEST} are needed, of different agreement and score."
        )
    said = {
        SHOWN: "methods that agree better end higher: shown, as far as a correlation can",
        CONTRADICTED: "methods that agree better end lower: contradicted, as far as a correlation can",
        NOT_RESOLVED: "not resolved",
    }[first["outcome"]]
    measured = others[others["outcome"] != NOT_MEASURED]
    rest = "; ".join(
        f"{ASKED[name]} {_with_interval(line, 2)}, {line['outcome']}" for name, line in measured.iterrows()
    )
    return (
        f"{asked} Over n = {first['n']} methods, Spearman's ρ of final score and agreement with {ASKED['rho']} is "
        f"{_with_interval(first, 2)}: {said}. Of score and other agreements: {rest}. Intervals: 95 %, methods resampled; p: permutations, "
        f"Holm-adjusted over {len(ASKED)}; resolved where both exclude zero. Methods that vary one another are not independent."
    )


def _with_interval(line: pd.Series, digits: int, unit: str = "") -> str:
    value, low, high = (number(line[key], digits) for key in ("value", "low", "high"))
    p = "< 0.001" if line["p"] < 0.001 else f"= {line['p']:.3f}"
    return f"{value} [{low}, {high}]{unit}, p {p}"
