"""A study's stored results as tidy tables, for notebooks and scripts: `tokencredit.load`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pandas as pd

from tokencredit.analysis.credit import states
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import RunFolder


class Results:
    """The results of one study. Each table is read when it is asked for, and whole: a missing file is a ``UserError`` that names it.

    Every table begins with ``method`` (of a model that is only evaluated: its row's name), ``seed`` and ``title``. The other columns are
    those of results/README.md. Entropies are in nats.
    """

    def __init__(self, study: Study, results: Path) -> None:
        self.study = study
        self._store = Store(study, results)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """``metrics.jsonl``: one line per method, training seed and step."""
        return self._of_methods(self._store.metrics)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """``evaluations.parquet``: the evaluations inside training."""
        return self._of_methods(lambda method: self._store.tokens(RunFolder.evaluations, method))

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """``rollouts.parquet``: one line per token of the stored rollouts."""
        return self._of_methods(lambda method: self._store.tokens(RunFolder.rollouts, method))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """``scores.parquet``: one line per row of the results table, benchmark and question; ``right`` of ``n`` responses."""
        found = [_named(self._store.scores(row), row.name, row.title, row.seed) for row in self.study.rows]
        return pd.concat(found, ignore_index=True)

    @cached_property
    def states(self) -> pd.DataFrame:
        """The measured credit of tokens: one line per state (``analysis.credit.states``); empty for a study that measures none."""
        found = [
            _named(states.states(self._store, row)[0], row.name, row.title, row.seed)
            for row in measured_rows(self.study)
        ]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["method", "seed", "title"])

    def _of_methods(self, read: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
        found = [_named(read(name), name, method.title) for name, method in self.study.methods.items()]
        return pd.concat(found, ignore_index=True)


def _named(table: pd.DataFrame, method: str, title: str, seed: int | None = None) -> pd.DataFrame:
    named = table.assign(method=method, title=title, **({} if seed is None else {"seed": seed}))
    first = ["method", "seed", "title"]
    return named[[*first, *(column for column in named if column not in first)]]
