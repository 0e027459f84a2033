"""The tables and figures of a study, made as its jobs make them."""

from __future__ import annotations

from tokencredit.analysis import figures, tables
from tokencredit.analysis.store import Store
from tokencredit.study.exhibits import exhibits_of


def make_shown(store: Store) -> None:
    """Make the planned tables and figures that are not there."""
    for entry in exhibits_of(store.study):
        path = store.paths.origin(entry.kind, entry.name)
        if not path.exists():
            {"table": tables, "figure": figures}[entry.kind].make(store, entry.name, path.parent)
