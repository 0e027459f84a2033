"""How fast a method learns, beside where it ends: one number for each training run.

``speed``: the mean solve rate of all groups sampled in the steps that the study declares (``analysis.speed_steps``); groups that a method
drops are counted. ``area``: the mean of Avg@n on the curve benchmark over training, the area under its learning curve.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokencredit import statistics
from tokencredit.analysis.paper.obtained import curve_right
from tokencredit.analysis.store import Store
from tokencredit.statistics import NAN
from tokencredit.study.selection import paired

SPEED, AREA = "speed", "area"


def speed(store: Store, method: str) -> np.ndarray:
    """The mean solve rate of every seed over the declared steps, in shares, [S]."""
    table = store.metrics(method, ["solve_rate"])
    steps = table[table["step"].isin(store.study.speed_steps)]
    return steps.groupby("seed")["solve_rate"].mean().to_numpy(float)


def area(store: Store, method: str) -> np.ndarray:
    """The area under the curve of Avg@n of every seed, over the steps, by trapezoids: a mean in shares, [S]."""
    right = curve_right(store, method)
    steps = sorted(right)
    scores = np.array([right[step].mean(1) / store.study.training.curve.samples for step in steps])
    return np.trapezoid(scores, steps, axis=0) / (steps[-1] - steps[0])


MEASURES: dict[str, Callable[[Store, str], np.ndarray]] = {SPEED: speed, AREA: area}


def difference(
    store: Store, measure: str, method: str, other: str, confidence: float = statistics.CONFIDENCE
) -> statistics.TwoLevel:
    """A method's ``measure`` less another's, over training runs, which are pairs where they share their luck."""
    of = MEASURES[measure]
    pairs = paired(store.study, method, other)
    return statistics.run_difference(of(store, method), of(store, other), confidence, paired=pairs)


def columns(store: Store, method: str | None, reference: str | None) -> dict[str, float]:
    """Both measures of a method in percent with their intervals over seeds, and what they are above those of ``reference``, in points.

    All missing for a model that is not trained, and the differences for the reference itself. p is not adjusted.
    """
    names = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high", "_difference_p")
    found = {f"{measure}{name}": NAN for measure in MEASURES for name in names}
    if method is None:
        return found
    for measure, of in MEASURES.items():
        own = statistics.run_difference(of(store, method))
        found |= {measure: 100 * own.mean, f"{measure}_low": 100 * own.low, f"{measure}_high": 100 * own.high}
        if reference not in (None, method) and not (store.invalid(method) or store.invalid(reference)):
            apart = difference(store, measure, method, reference)
            ends = {"": apart.mean, "_low": apart.low, "_high": apart.high}
            found |= {f"{measure}_difference{name}": 100 * value for name, value in ends.items()}
            found[f"{measure}_difference_p"] = apart.p
    return found
