"""All methods on all benchmarks: where they end, and how fast they learn."""

from __future__ import annotations

import pandas as pd

from tokencredit.analysis import passes, score_layout, scores, speed
from tokencredit.analysis.store import Store

wide = score_layout.wide


def records(store: Store) -> pd.DataFrame:
    """``scores.table1`` with Pass@k at the declared k, and on the line of the mean how fast a method learns: ``speed.columns``."""
    table = scores.table1(store)
    unsound = set(table.loc[table["invalid"] != "", "method"])
    further = []
    for (method, reference), lines in table.groupby(["method", "reference"], sort=False):
        seeds, others = ([row for row in store.study.rows if row.name == name] for name in (method, reference))
        compared = method != reference and not {method, reference} & unsound
        passed = passes.columns(store, seeds, others, compared)
        learned = speed.columns(store, seeds[0].method, others[0].method)
        for benchmark in lines["benchmark"]:
            further.append(passed[benchmark] | (learned if benchmark == scores.MEAN else {}))
    return pd.concat([table, pd.DataFrame(further, index=table.index)], axis=1)
