"""Tables as CSV (long: every record with its origin) and LaTeX (wide: as it is shown). Each table has a module of its name here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import pandas as pd

from tokencredit import files
from tokencredit.analysis.commit import checkout
from tokencredit.analysis.layout import Wide, latex
from tokencredit.analysis.store import Store
from tokencredit.study import code


class TableModule(Protocol):
    """What a module of a table has."""

    def records(self, store: Store) -> pd.DataFrame:
        """The table, long: one line per record."""
        ...

    def wide(self, table: pd.DataFrame, store: Store) -> Wide:
        """The table as it is shown."""
        ...


def make(store: Store, name: str, out: Path) -> list[Path]:
    """Write ``<name>.csv``, ``.tex`` and ``.json`` (provenance) into ``out``; the paths made."""
    store = store.of("table", name)
    table = module_of(name).records(store)
    paths = [out / f"{name}.{suffix}" for suffix in ("csv", "tex", "json")]
    files.write_text(paths[0], table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    files.write_text(paths[1], latex(wide(name, table, store)))
    origin = {"name": name, "study": store.study.name, "code_digest": code.exhibit(store.study, "table", name)}
    made = {path.name: files.sha256(path) for path in paths[:2]}
    files.write_json(paths[2], origin | checkout() | {"made": made, "files": store.provenance("table", name)})
    return paths


def read(path: Path) -> pd.DataFrame:
    """A table that ``make`` wrote."""
    files.sha256(path)  # names the table if it was not made
    texts = ["seeds", "invalid", "grader", "engine", "data_sha256", "model_sha256", "code_digest"]
    texts += ["slip", "reason", "error", "files", "outcome", "contrast", "unit", "test", "excluded"]
    if path.stem == "claims":  # where the paper prints several numbers for one contrast
        texts.append("printed")
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str)).fillna(dict.fromkeys(texts, ""))


def wide(name: str, table: pd.DataFrame, store: Store) -> Wide:
    """The table as it is shown."""
    return module_of(name).wide(table, store)


def module_of(name: str) -> TableModule:
    """The module that makes a table."""
    return importlib.import_module(f"{__name__}.{name}")
