"""The differences of scores that the paper itself prints, against which a study's interval is held."""

from __future__ import annotations

import math

import numpy as np

from tokencredit.analysis.paper.printed import MEAN
from tokencredit.analysis.store import Store
from tokencredit.config import ScoreContrast
from tokencredit.statistics import NAN


def printed_effects(store: Store, contrast: ScoreContrast, other: str, k: float) -> dict[str, float]:
    """The paper's difference of the contrast's two sides in points, by the table or figure that prints both.

    Of a table the mean over its benchmarks; of Figure 2 the last step, on AIME24; of Figure 5 Pass@k, a mean over its benchmarks. They are
    of other models and benchmarks than most studies': what the paper's size of effect would be here.
    """
    found = {}
    for source in contrast.printed:
        values = [_value(store, source, contrast.metric, name, k) for name in (contrast.method, other)]
        if not any(map(math.isnan, values)):
            found[source] = values[0] - values[1]
    return found


def _value(store: Store, source: str, metric: str, method: str, k: float) -> float:
    table = store.targets(source if source.startswith("figure") else "tables")
    table = table[table["method"] == method]
    if source == "figure2":
        table = table[table["panel"] == f"{metric}_percent"]
        return float(table.sort_values("step")["value"].iloc[-1]) if len(table) else NAN
    if source == "figure5":
        return float(table.loc[(table["k"] == k) & (metric == "pass"), "pass_percent"].mean())
    table = table[(table["table"] == source) & (table["benchmark"] == MEAN) & (table["metric"] == metric)]
    return float(np.mean(table["value"])) if len(table) else NAN
