"""``tokencredit docs``: every file of the repository that is written from the code. Nobody edits these by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from tokencredit import cli, files
from tokencredit.config.schemas import FILES, fill_tables, schema_of
from tokencredit.tools import creditbench, demo_table, methods_page, results_page

README, KEYS, METHODS = Path("README.md"), Path("config/README.md"), Path("docs/methods.md")
BENCH, RESULTS = Path("docs/creditbench.md"), Path("docs/results.md")
SCHEMAS = Path("workflow/schemas")


def generated() -> dict[Path, str]:
    """What each of these files should hold: README's count of methods, tables of keys, JSON schemas, the page of methods, CreditBench's
    tables, the results.
    """
    schemas = {SCHEMAS / f"{name}.schema.json": schema_of(name) for name in FILES}
    return {
        README: methods_page.counted(README.read_text(encoding="utf-8")),
        KEYS: fill_tables(KEYS.read_text(encoding="utf-8")),
        **{path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in schemas.items()},
        METHODS: methods_page.page(),
        BENCH: creditbench.filled(BENCH.read_text(encoding="utf-8"), Path("config")),
        RESULTS: results_page.page(),
    }


def stale() -> list[Path]:
    """The files that do not hold what they should."""
    return [path for path, text in generated().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def write() -> None:
    """Write those that are stale."""
    texts, old = generated(), stale()
    for path in old:
        files.write_text(path, texts[path])
    if old:
        cli.made(old)
    else:
        print("everything generated is current")


def write_demo(table: Path) -> None:
    """Write README's table of the demo from the ``table1.csv`` of a run of it."""
    readme = demo_table.README
    files.write_text(readme, demo_table.filled(readme.read_text(encoding="utf-8"), pd.read_csv(table)))
    cli.made([readme])


def check() -> bool:
    """Name those that are stale; whether none is."""
    old = stale()
    for path in old:
        print(f"{path}: is not what the code says; run: tokencredit docs")
    return not old
