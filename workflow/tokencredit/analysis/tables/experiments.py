"""The questions that a study was run for, each by the contrasts that its file declares.

A contrast is *supported* if it is resolved as expected, *contradicted* if it is resolved the other way, after Holm's adjustment over all
contrasts of its experiment; else *not resolved*. "Higher" and "lower" are tested two-sided; "equal" by two one-sided tests within its
margin, and contradicted by a two-sided test of a difference beyond the margin.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pandas as pd

from tokencredit import statistics
from tokencredit.analysis.layout import Cell, Wide, WideLine
from tokencredit.analysis.paper import contrasts, lines
from tokencredit.analysis.paper.claims import CONTRADICTED, NOT_MEASURED, NOT_RESOLVED, OUTCOMES, SUPPORTED
from tokencredit.analysis.paper.effect import Effect
from tokencredit.analysis.paper.obtained import ONE_SEED, NotMeasuredError
from tokencredit.analysis.store import Store
from tokencredit.config import Experiment
from tokencredit.study.settings import declaration

COLUMNS = (
    *(
        "experiment",
        "question",
        "contrast",
        "outcome",
        "effect",
        "low",
        "high",
        "unit",
        "margin",
        "p",
        "p_holm",
        "test",
    ),
    *("questions", "samples", "k", "seeds", "pairs", "detectable", "reason", "declaration", "files"),
)
_NO_TEXTS = dict.fromkeys(("unit", "test", "seeds", "files"), "")
_LEVEL = 1 - statistics.CONFIDENCE


def records(store: Store) -> pd.DataFrame:
    """One line per contrast of every experiment.

    effect with its 95 % interval, in points; margin, in points, where two methods are expected to be equal; p of the test that decides, of
    "equal" the larger of the two one-sided ones; p_holm: Holm's over the experiment; detectable: the smallest difference found with 80 %
    power, in points; declaration: the digest of what the study's file declares (`study.settings.declaration`).
    """
    table: list[dict[str, Any]] = []
    for name, experiment in store.study.experiments.items():
        table += [{"experiment": name, "question": experiment.question} | line for line in _lines(store, experiment)]
    digest = hashlib.sha256(json.dumps(declaration(store.study), sort_keys=True).encode()).hexdigest()
    return pd.DataFrame(table, columns=list(COLUMNS)).assign(declaration=digest)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """Each experiment with its contrasts below it, outcome first."""
    columns = [("Outcome", ""), ("Effect", "interval"), ("Test", "p, what it rests on")]
    rows: list[WideLine] = []
    for name, of_experiment in table.groupby("experiment", sort=False):
        counts = of_experiment["outcome"].value_counts()
        said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if outcome in counts)
        rows.append(WideLine(f"{name.upper()}. {of_experiment['question'].iloc[0]}", [Cell(said), Cell(""), Cell("")]))
        for record in of_experiment.to_dict("records"):
            notes = tuple(filter(None, [record["reason"], lines.finds(record)]))
            cells = [Cell(record["outcome"], notes=notes), lines.effect_cell(record), lines.test_cell(record)]
            rows.append(WideLine(f"– {record['contrast']}", cells))
    seeds = ", ".join(map(str, store.study.training.seeds))
    notes = [
        "supported: resolved as the study's file expects it; contradicted: resolved the other way; both after Holm's adjustment over the "
        "experiment. Equal within a margin: two one-sided tests.",
        f"Effects are differences in points with {100 * statistics.CONFIDENCE:g} % intervals; training seeds {seeds}.",
        f"Digest of the declaration: {table['declaration'].iloc[0][:16]}." if len(table) else "",
    ]
    return Wide(columns, rows, notes, long=True)


def _lines(store: Store, experiment: Experiment) -> list[dict[str, Any]]:
    measured: list[tuple[dict[str, Any], Effect | None]] = []
    for contrast, other in contrasts.pairs(list(experiment.contrasts)):
        line = {"contrast": contrasts.in_words(store, contrast, other), "margin": contrast.margin}
        try:
            measured.append((line, contrasts.measure(store, contrast, other, statistics.CONFIDENCE)))
        except NotMeasuredError as reason:
            measured.append((line | _NO_TEXTS | {"outcome": NOT_MEASURED, "reason": str(reason)}, None))
    tested = [effect for _, effect in measured if effect and effect.tested.seeds is not None]
    adjusted = iter(statistics.holm([_p(effect) for effect in tested]) if tested else ())
    found = []
    for line, effect in measured:
        if effect is None:
            found.append(line)
        elif effect.tested.seeds is None:
            found.append(line | lines.measured(effect, _LEVEL) | {"outcome": NOT_RESOLVED, "reason": ONE_SEED})
        else:
            p_holm = float(next(adjusted))
            found.append(
                line
                | lines.measured(effect, _LEVEL)
                | {"p": _p(effect), "p_holm": p_holm, "outcome": _outcome(effect, p_holm), "reason": ""}
            )
    return found


def _p(effect: Effect) -> float:
    """Of the test on the side of the observed effect."""
    return effect.p if effect.as_claimed else effect.p_otherwise


def _outcome(effect: Effect, p_holm: float) -> str:
    if p_holm >= _LEVEL:
        return NOT_RESOLVED
    return SUPPORTED if effect.as_claimed else CONTRADICTED
