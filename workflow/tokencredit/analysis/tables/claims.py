"""The paper's claims, each by its contrasts."""

import pandas as pd

from tokencredit.analysis.layout import Wide
from tokencredit.analysis.paper import claims
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return claims.records(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return claims.wide(table, store)
