"""``python -m tokencredit.tools.trace results/toy/tables/table1.csv eapo toy-tier1``: a number, and the files that it comes from.

Exit status 1 if one of the files is missing, or is not the one that the number was made from. Nothing but digests is computed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from tokencredit import cli, files
from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.tools import select_rows
from tokencredit.tools.lineage import Chain, Link

app = cli.new_app("What a number of a table or figure rests on, file by file.")

ROWS = 20  # rows of numbers that are printed
WIDTH = 1000  # of a line: a terminal wraps it, and a path that is cut is of no use
# Columns of a row whose value rests on rows beside it: Holm's correction over a family of tests, differences from the base model.
OF_OTHERS = ("p_holm", "runs_p_holm", "outcome", "over_base")
COLOURS = {"as recorded": "green", "not recorded": "dim", "changed": "bold red", "missing": "bold red"}


@app.command()
def main(
    shown: Annotated[Path, typer.Argument(help="CSV of a table or figure, below results/<study>/.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="Values that choose its rows: eapo aime24; or column=value.")
    ] = None,
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Print the chosen numbers and every file behind them, with its sha256 as recorded and as it is now."""
    rows, chain, others = trace(shown, words or [], config)
    differences = list(dict.fromkeys(link.sentence for link in chain.all() if link.sentence))
    if as_json:
        numbers = rows.to_dict("records")
        said = {"rows": numbers, "chain": _plain(chain), "differences": differences, "rest_on_more": others}
        print(json.dumps(said, indent=1))
    else:
        _show(rows, chain, differences, others)
    if differences:
        raise typer.Exit(1)


def trace(shown: Path, words: list[str], config: Path) -> tuple[pd.DataFrame, Link, list[str]]:
    """The rows of a CSV that ``words`` choose, as text; the files behind them; and the columns that also rest on files of other rows.

    Raises ``UserError`` for a file that is no table or figure of a study, and for words that choose nothing.
    """
    shown = shown.resolve()
    table = select_rows.read(shown)
    origin = files.read_json(shown.with_suffix(".json"))
    study = shown.parents[1].name
    if not isinstance(origin, dict) or origin.get("study") != study:
        raise UserError(f"{shown.with_suffix('.json')}: is not the origin of a table or figure of study {study}.")
    rows = select_rows.choose(table, words, shown)
    configured = Config(config)
    datasets = {name: benchmark.dataset for name, benchmark in configured.benchmarks.items()}
    home = configured.study(study).home if study in configured.study_names else study
    benchmarks = set(rows["benchmark"]) if "benchmark" in rows else set()
    # A mean rests on all benchmarks.
    followed = benchmarks if benchmarks and benchmarks <= datasets.keys() else set(datasets)
    names = _names(origin, rows, {datasets[name] for name in followed})
    whole = _names(origin, table, {datasets[name] for name in followed})
    others = [name for name in OF_OTHERS if name in rows and rows[name].any()] if set(names) < set(whole) else []
    return rows, Chain(shown.parents[2], datasets, home).shown(shown, origin, names, followed), others


def _names(origin: dict[str, Any], rows: pd.DataFrame, datasets: set[str]) -> list[str]:
    """The files of a table that its ``rows`` rest on: those that they name, else those of their methods, policies and data sets."""
    names = list(origin["files"])
    if "files" in rows:
        own = {name for line in rows["files"] for name in line.split()}
        return [name for name in names if name.partition("/")[2] in own]
    names = [name for name in names if "/overlap/" not in name or Path(name).stem.split("--")[1] in datasets]
    for column, kinds in (("method", ("runs", "eval")), ("policy", ("oracle",))):
        if column in rows:
            chosen = {None, *rows[column], *rows.get("reference", [])}
            names = [name for name in names if _owner(name, kinds) in chosen]
    return names


def _owner(name: str, kinds: tuple[str, ...]) -> str | None:
    """The method or policy of a file below one of the folders ``kinds`` of a study; None for others."""
    parts = Path(name).parts
    return parts[2] if parts[1] in kinds else None


def _plain(link: Link) -> dict[str, Any]:
    return {
        "path": str(link.path),
        "state": link.state,
        "recorded": link.recorded,
        "now": link.now,
        "facts": link.facts,
        "behind": [_plain(below) for below in link.behind],
    }


def _show(rows: pd.DataFrame, chain: Link, differences: list[str], others: list[str]) -> None:
    console = Console(highlight=False, width=WIDTH)
    keys = select_rows.keys_of(rows)
    for record in rows.head(ROWS).to_dict("records"):
        console.print(", ".join(escape(record[key]) for key in keys if record[key]), style="bold")
        numbers = [f"{name} {value}" for name, value in record.items() if value and name not in keys]
        console.print("  " + escape(", ".join(numbers)))
    if len(rows) > ROWS:
        console.print(f"… {len(rows)} rows in all")
    console.print(_tree(chain, Tree("")).children[0])
    links = list(chain.all())
    recorded = sum(link.state == "as recorded" for link in links)
    console.print(f"{recorded} of {len(links)} files are as they were recorded.")
    if others:
        console.print(
            f"{', '.join(others)}: rest on other rows too, whose files are not followed; without words all are."
        )
    for sentence in differences:
        console.print(escape(sentence), style="bold red")


def _tree(link: Link, above: Tree) -> Tree:
    digest = link.now[:12] if link.now else ""
    was = f" (was {link.recorded[:12]})" if link.state == "changed" and link.recorded else ""
    colour = COLOURS[link.state]
    branch = above.add(f"{escape(str(link.path))}  {digest}  [{colour}]{link.state}{was}[/]")
    for name, value in link.facts.items():
        branch.add(f"[dim]{escape(name)}: {escape(value)}[/]")
    for below in link.behind:
        _tree(below, branch)
    return above


if __name__ == "__main__":
    cli.run(app)
