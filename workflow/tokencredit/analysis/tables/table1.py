"""All methods on all benchmarks."""

import pandas as pd

from tokencredit.analysis import score_layout, scores
from tokencredit.analysis.layout import Wide
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return scores.table1(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return score_layout.wide(table, store)
