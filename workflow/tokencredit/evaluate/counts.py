"""The count contract of a stored table: how many rows of each problem it holds.

In a file of its own, so that editing it does not make stored generations stale (see ``provenance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tokencredit.errors import UserError


def check_counts(where: str | Path, table: pd.DataFrame, problem_ids: Sequence[str], samples: int) -> None:
    """``table`` holds samples 0 to ``samples`` - 1 of every problem and nothing else; a ``UserError`` names ``where`` and counts."""
    unknown = sorted(set(table["problem_id"]) - set(problem_ids))
    if unknown:
        raise UserError(f"{where}: problem {unknown[0]!r} ({len(unknown)} in all) is not in the data set.")
    counts = table.groupby("problem_id").size().reindex(problem_ids, fill_value=0)
    off = counts[counts != samples]
    if len(off):
        raise UserError(
            f"{where}: {len(table)} rows, {samples * len(counts)} are expected: {samples} of each problem. "
            f"{off.index[0]!r} has {off.iloc[0]}; {len(off)} of {len(counts)} problems are off."
        )
    if table.duplicated(["problem_id", "sample"]).any() or not table["sample"].between(0, samples - 1).all():
        raise UserError(f"{where}: the samples of a problem must be numbered 0 to {samples - 1}, each once.")
