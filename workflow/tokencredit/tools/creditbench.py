"""``tokencredit creditbench``: the leaderboard, and where a method of one's own stands on it; the tables of docs/creditbench.md."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tokencredit import cli
from tokencredit.config import Config
from tokencredit.creditbench.board import OWN, compare, shown
from tokencredit.creditbench.checklist import ITEMS, overhead
from tokencredit.creditbench.records import BOARD, CHECKLIST, Shipped
from tokencredit.creditbench.submission import read

NOTE = (
    "Each measure less its null, the same weights dealt anew within each response; 95 % intervals over problems. Ends and speed in points, "
    "over questions and training seeds."
)

_WIDE = 9  # columns that a terminal has room for


def print_board(file: Path | None, config: Path, out: Path | None) -> None:
    """Print the leaderboard; with a ``file``, the method in it is compared and has a line."""
    resolved = Config(config)
    submission = None if file is None else read(file)
    table = compare(resolved, submission, out)
    lines = _lines(resolved, table)
    shipped = Shipped.of(resolved)
    print(f"{next(iter(shipped.bench.policies.values())).title}. {NOTE}")
    print(cli.columns([line[:_WIDE] for line in lines]))
    print("Training against other baselines, costs and the checklist: docs/creditbench.md")
    if submission is not None:
        own = table[table["part"] == OWN]
        place = [line[0] for line in lines].index(own["title"].iloc[0])
        print(
            f"{submission.name}: place {place} of {len(lines) - 1}. It was not trained: a study says what training with it is worth."
        )


def filled(text: str, config: Path) -> str:
    """``text`` with the tables between ``<!-- leaderboard -->``, ``<!-- left out -->``, ``<!-- checklist -->`` and ``<!-- end -->``."""
    resolved = Config(config)
    shipped = Shipped.of(resolved)
    board = shipped.table(BOARD)
    tables = {
        "leaderboard": _markdown(_lines(resolved, board)),
        "left out": _markdown(_left_out(shipped)),
        "checklist": _markdown(_checklist(shipped, resolved)),
    }

    def table(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n\n{tables[match[1]]}\n\n<!-- end -->"

    return re.sub(rf"<!-- ({'|'.join(tables)}) -->.*?<!-- end -->", table, text, flags=re.DOTALL)


def _lines(config: Config, table: pd.DataFrame) -> list[list[str]]:
    return shown(Shipped.of(config), table, lambda name: overhead(config.methods[name].credit))


def _left_out(shipped: Shipped) -> list[list[str]]:
    """The methods that no policy has the columns of, by reason."""
    every = list(shipped.left_out.values())
    methods: dict[str, list[str]] = {}
    for name, reason in every[0].items():
        if all(name in other for other in every):
            methods.setdefault(reason, []).append(name)
    return [["reason", "methods"], *([reason, ", ".join(names)] for reason, names in methods.items())]


def _checklist(shipped: Shipped, config: Config) -> list[list[str]]:
    """The items of the checklist: for how many methods the records say something, and what they say of the first that was trained."""
    table = shipped.table(CHECKLIST)
    trained = table.loc[table["study"] != "", "method"]
    example = "eapo" if "eapo" in set(trained) else trained.iloc[0]
    says = table[table["method"] == example].set_index("item")["says"]
    known = table[table["says"] != ""].groupby("item").size()
    head = ["item", f"known of, among {table['method'].nunique()} methods", config.methods[example].title]
    return [head, *([title, str(known.get(item, 0)), says[item] or "–"] for item, title in ITEMS.items())]


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rest])
