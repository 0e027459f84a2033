"""The figures. Each has a module of its name here with ``draw(store)``."""

from __future__ import annotations

import importlib
from pathlib import Path

from tokencredit.analysis import style
from tokencredit.analysis.store import Store


def make(store: Store, name: str, out: Path) -> list[Path]:
    """Draw the figure ``name`` and write it into ``out`` (see ``style.save``); the paths made."""
    store = store.of("figure", name)
    return style.save(importlib.import_module(f"{__name__}.{name}").draw(store), name, store, out)
