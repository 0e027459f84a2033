"""Pass@k at the k that a study declares (``analysis.pass_k``), unbiased (arXiv 2107.03374, Eq. 1), with their differences."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tokencredit import statistics
from tokencredit.analysis.scores import MEAN, lines_of
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.statistics import NAN
from tokencredit.study.selection import base_row, paired


def columns(store: Store, seeds: list[Row], reference: list[Row], compared: bool) -> dict[str, dict[str, float]]:
    """By benchmark, and for their mean: Pass@k of a line in percent with its interval over questions, and its difference in points.

    The difference from ``reference`` is over questions and training runs, with p not adjusted; missing unless ``compared``. All are missing
    on a benchmark with fewer than k responses, and the mean where that is so of any.
    """
    names = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high", "_difference_p")
    found: dict[str, dict[str, float]] = {}
    pairs = paired(store.study, seeds[0].method, reference[0].method)
    for k in store.study.analysis.pass_k:
        own, other = (lines_of(store, each, k, names=store.study.benchmarks) for each in (seeds, reference))
        groups = {name: [name] for name in store.study.benchmarks} | {MEAN: list(store.study.averaged)}
        for column, chosen in groups.items():
            values = dict.fromkeys((f"pass_at_{k}{name}" for name in names), NAN)
            if set(chosen) <= own.keys():
                scores = [own[name].shares.mean(0) for name in chosen]
                low, high = (
                    statistics.interval_of_mean(scores) if column == MEAN else statistics.mean_interval(scores[0])
                )
                shown = [np.mean([score.mean() for score in scores]), low, high]
                if compared:
                    sides = [[side[name] for name in chosen] for side in (own, other)]
                    apart = statistics.two_level_difference(*sides, paired=pairs)
                    shown += [apart.mean, apart.low, apart.high, apart.p / 100]
                values |= {f"pass_at_{k}{name}": 100 * value for name, value in zip(names, shown, strict=False)}
            found[column] = found.get(column, {}) | values
    return found


def telling_k(store: Store, benchmarks: Collection[str]) -> int | None:
    """The largest declared k at which the model that training starts from solves less than ``analysis.pass_below``, in mean.

    None where it solves more at each, or fewer responses than the least k were taken of a benchmark, or it is not evaluated.
    """
    base, declared = base_row(store.study), store.study.analysis
    if base is None:
        return None
    for k in sorted(declared.pass_k, reverse=True):
        lines = lines_of(store, [base], k)
        if set(benchmarks) <= lines.keys():
            solved = np.mean([lines[name].shares.mean() for name in benchmarks])
            if solved < declared.pass_below:
                return k
    return None
