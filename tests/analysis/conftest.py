"""A synthetic study, complete and deterministic: what the analyses read, without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from shown_files import make_shown
from synthetic_study import make_study

from tokencredit.analysis.store import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All methods of the toy study, two seeds, two of three benchmarks overlapping the training set, one invalid run."""
    folder = tmp_path_factory.mktemp("synthetic")
    return Store(make_study(folder), folder / "results")


@pytest.fixture(scope="session")
def made(store: Store) -> Path:
    """The study's folder with all tables and figures."""
    make_shown(store)
    return store.paths.own
