"""Agreement of each method's weights with measured credit, and its final score."""

import pandas as pd

from tokencredit.analysis.credit import scoreboard
from tokencredit.analysis.layout import Wide
from tokencredit.analysis.store import Store


def records(store: Store) -> pd.DataFrame:
    return scoreboard.records(store)


def wide(table: pd.DataFrame, store: Store) -> Wide:
    return scoreboard.wide(table, store)
