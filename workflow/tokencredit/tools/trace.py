"""``tokencredit trace results/toy/tables/table1.csv eapo toy-tier1``: a number, and the files behind it.

Nothing is computed but digests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from tokencredit import files
from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.study.exhibits import EXHIBITS
from tokencredit.study.paths import RECIPES
from tokencredit.tools import select_rows
from tokencredit.tools.lineage import Lineage, Source

ROWS = 20  # rows of numbers that are printed
WIDTH = 1000  # of a line: a terminal wraps it, and a path that is cut is of no use
# Columns of a row whose value rests on rows beside it: Holm's correction over a family of tests, differences from the base model.
OF_OTHERS = ("p_holm", "runs_p_holm", "outcome", "over_base")
COLOURS = {"as recorded": "green", "not recorded": "dim", "changed": "bold red", "missing": "bold red"}


def print_trace(shown: Path, words: list[str], config: Path, as_json: bool) -> bool:
    """Print the numbers that ``words`` choose and every file behind them, with its sha256 as recorded and as it is now.

    Whether every file is there, and is the one that the numbers were made from.
    """
    rows, keys, source, others = trace(shown, words, config)
    differences = list(dict.fromkeys(each.sentence for each in source.all() if each.sentence))
    if as_json:
        numbers = rows.to_dict("records")
        said = {"rows": numbers, "source": _plain(source), "differences": differences, "rest_on_more": others}
        print(json.dumps(said, indent=1))
    else:
        _show(rows, keys, source, differences, others)
    return not differences


def trace(shown: Path, words: list[str], config: Path) -> tuple[pd.DataFrame, list[str], Source, list[str]]:
    """The rows of a CSV that ``words`` choose, as text; its keys; the CSV with the files behind them; the columns that rest on more files.

    Raises ``UserError`` for a file that is no table or figure of a study, and for words that choose nothing.
    """
    shown = shown.resolve()
    table = select_rows.read(shown)
    origin = files.read_json(shown.with_suffix(".json"))
    study = shown.parents[1].name
    if not isinstance(origin, dict) or origin.get("study") != study:
        raise UserError(f"{shown.with_suffix('.json')}: is not the origin of a table or figure of study {study}.")
    keys = select_rows.keys_of(table, _keys(shown))
    rows = select_rows.choose(table, words, shown, keys)
    configured = Config(config)
    datasets = {name: benchmark.dataset for name, benchmark in configured.benchmarks.items()}
    home = configured.study(study).home if study in configured.study_names else study
    benchmarks = set(rows["benchmark"]) if "benchmark" in rows else set()
    # A mean rests on all benchmarks that count in it.
    counted = set(configured.study(study).averaged) if study in configured.study_names else set(datasets)
    followed = benchmarks if benchmarks and benchmarks <= datasets.keys() else counted | (benchmarks & datasets.keys())
    names = _names(origin, rows, {datasets[name] for name in followed})
    whole = _names(origin, table, {datasets[name] for name in followed})
    others = [name for name in OF_OTHERS if name in rows and rows[name].any()] if set(names) < set(whole) else []
    return rows, keys, Lineage(shown.parents[2], datasets, home).shown(shown, origin, names, followed), others


def _keys(shown: Path) -> tuple[str, ...]:
    """The keys that the entry of a table or figure declares; none of one that has no entry any more."""
    own = [entry for entry in EXHIBITS if (f"{entry.kind}s", entry.name) == (shown.parent.name, shown.stem)]
    return own[0].keys if own else ()


def _names(origin: dict[str, Any], rows: pd.DataFrame, datasets: set[str]) -> list[str]:
    """The files of a table that its ``rows`` rest on: those that they name, else those of their methods, policies and data sets."""
    names = list(origin["files"])
    if "files" in rows:
        own = {name for line in rows["files"] for name in line.split()}
        return [name for name in names if name.partition("/")[2] in own]
    names = [name for name in names if "/overlap/" not in name or Path(name).stem.split("--")[1] in datasets]
    for column, kinds in (("method", ("runs", "eval")), ("policy", ("oracle",)), ("line", (RECIPES,))):
        if column in rows:
            chosen = {None, *rows[column], *rows.get("reference", [])}
            names = [name for name in names if _owner(name, kinds) in chosen]
    return names


def _owner(name: str, kinds: tuple[str, ...]) -> str | None:
    """The method, policy or data recipe of a file below one of the folders ``kinds`` of a study; None for others."""
    parts = Path(name).parts
    return parts[3 if RECIPES in kinds else 2] if parts[1] in kinds else None


def _plain(source: Source) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "state": source.state,
        "recorded": source.recorded,
        "now": source.now,
        "facts": source.facts,
        "behind": [_plain(below) for below in source.behind],
    }


def _show(rows: pd.DataFrame, keys: list[str], source: Source, differences: list[str], others: list[str]) -> None:
    console = Console(highlight=False, width=WIDTH)
    for record in rows.head(ROWS).to_dict("records"):
        console.print(", ".join(escape(record[key]) for key in keys if record[key]), style="bold")
        numbers = [f"{name} {value}" for name, value in record.items() if value and name not in keys]
        console.print("  " + escape(", ".join(numbers)))
    if len(rows) > ROWS:
        console.print(f"… {len(rows)} rows in all")
    console.print(_tree(source, Tree("")).children[0])
    sources = list(source.all())
    recorded = sum(each.state == "as recorded" for each in sources)
    console.print(f"{recorded} of {len(sources)} files are as they were recorded.")
    if others:
        console.print(
            f"{', '.join(others)}: rest on other rows too, whose files are not followed; without words all are."
        )
    for sentence in differences:
        console.print(escape(sentence), style="bold red")


def _tree(source: Source, above: Tree) -> Tree:
    digest = source.now[:12] if source.now else ""
    was = f" (was {source.recorded[:12]})" if source.state == "changed" and source.recorded else ""
    colour = COLOURS[source.state]
    branch = above.add(f"{escape(str(source.path))}  {digest}  [{colour}]{source.state}{was}[/]")
    for name, value in source.facts.items():
        branch.add(f"[dim]{escape(name)}: {escape(value)}[/]")
    for below in source.behind:
        _tree(below, branch)
    return above
