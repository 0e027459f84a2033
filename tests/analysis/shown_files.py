"""The tables and figures of a study, made as its jobs make them."""

from __future__ import annotations

import importlib

from tokencredit.analysis import planned, style, tables
from tokencredit.analysis.store import Store


def make_shown(store: Store) -> None:
    """Make the planned tables and figures that are not there."""
    for name in planned(store.study)["tables"]:
        if not store.path("tables", f"{name}.csv").exists():
            tables.make(store, name, store.path("tables"))
    for name in planned(store.study)["figures"]:
        if not store.path("figures", f"{name}.csv").exists():
            drawn = importlib.import_module(f"tokencredit.analysis.figures.{name}").draw(store)
            style.save(drawn, name, store, store.path("figures"))
