"""The paper's printed numbers against the ones obtained."""

import pandas as pd

from tokencredit.analysis.layout import Wide
from tokencredit.analysis.paper import verdicts
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return verdicts.records(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return verdicts.wide(table, store)
