"""A synthetic study, complete and deterministic: what the analyses read, without a model."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from synthetic_study import make_study

from tokencredit.analysis import planned, style, tables
from tokencredit.analysis.store import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All methods of the toy study, two seeds, two of three benchmarks overlapping the training set, one invalid run."""
    folder = tmp_path_factory.mktemp("synthetic")
    return Store(make_study(folder), folder / "results")


@pytest.fixture(scope="session")
def made(store: Store) -> Path:
    """The study's folder with all tables and figures."""
    for name in planned(store.study)["tables"]:
        tables.make(store, name, store.path("tables"))
    for name in planned(store.study)["figures"]:
        drawn = importlib.import_module(f"tokencredit.analysis.figures.{name}").draw(store)
        style.save(drawn, name, store, store.path("figures"))
    return store.path()
