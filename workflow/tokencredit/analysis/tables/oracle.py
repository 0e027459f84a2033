"""The measured credit of tokens, by what they are."""

import pandas as pd

from tokencredit.analysis.credit import states
from tokencredit.analysis.layout import Wide
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return states.records(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return states.wide(table, store)
