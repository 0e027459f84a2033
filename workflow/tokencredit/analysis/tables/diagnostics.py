"""How each method spreads its credit."""

import pandas as pd

from tokencredit.analysis.credit import diagnostics
from tokencredit.analysis.layout import Wide
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return diagnostics.records(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return diagnostics.wide(table, store)
