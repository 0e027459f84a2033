"""The audit of a grader on every benchmark of real problems and on a sample of a training set: mutants and rewritings by kind.

``python benchmarks/audit.py`` takes the golds of MATH-500, Minerva, OlympiadBench, AMC, AIME and of 600 problems of DeepScaleR. It prints,
by kind, how many golds with one slip are graded right, how many of these are equal after all, and how many golds in other words are not
graded right; every exception goes into a JSON file. The seed is drawn at random and printed. Problems come from where studies take them:
the folder that ``TOKENCREDIT_DATA`` names, else the Hub.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tokencredit.config import Config
from tokencredit.data.sources import open_source
from tokencredit.grading import GradingPool
from tokencredit.grading.audit import audit
from tokencredit.grading.pool import TIMEOUT, available_cores
from tokencredit.records import Problem
from tokencredit.tools.node.machine import machine

SETS = ("math-500", "minerva", "olympiadbench", "amc83", "aime24", "aime25")
TRAINING, ROWS = "deepscaler", 600
EXAMPLES = 3  # exceptions of each kind that are printed


def main(
    data: Annotated[Path | None, typer.Option(envvar="TOKENCREDIT_DATA", help="Folder of data sets.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the mutations; a random one without it.")] = None,
    sets: Annotated[list[str] | None, typer.Option(help="Data sets instead of all.")] = None,
    grader: Annotated[str, typer.Option(help="Name of the grader.")] = "math",
    workers: Annotated[int | None, typer.Option(help="Grading processes; by default one per core.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds of wall time per answer.")] = TIMEOUT,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/audit.json"),
) -> None:
    """Audit each data set, print what was found by kind, and write it."""
    seed = secrets.randbits(32) if seed is None else seed
    found: dict[str, Any] = {}
    with GradingPool(workers or available_cores(), timeout, grader=grader) as pool:
        for name in sets or [*SETS, TRAINING]:
            started = time.perf_counter()
            found[name] = audit(problems(name, data, seed), name, pool, seed=seed)
            found[name]["seconds"] = time.perf_counter() - started
    record = {"seed": seed, "grader": grader, "timeout_s": timeout, "machine": machine("cpu"), "sets": found}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show(found, seed)
    print(f"made {out}")


def problems(name: str, data: Path | None, seed: int) -> list[Problem]:
    """The problems of a data set that have a gold; of the training set a sample."""
    rows = [row for row in open_source(name, Config("config").datasets[name], data).rows if row.answer]
    if name == TRAINING:
        rows = random.Random(f"{seed} rows").sample(rows, ROWS)
    return [Problem(row.problem_id, row.problem, row.answer) for row in rows]


def show(found: dict[str, Any], seed: int) -> None:
    """Tables of the sets and of the kinds, and some exceptions of each kind."""
    console = Console(width=150, markup=False, highlight=False)
    table = Table(
        "data set",
        "golds",
        "mutants",
        "right",
        "of them equal",
        "rewritings",
        "not right",
        "seconds",
        title=f"seed {seed}",
    )
    for name, each in found.items():
        table.add_row(
            name,
            f"{each['gold_right']} of {each['gold_total']}",
            str(each["mutants_total"]),
            str(each["mutants_right"] + each["mutants_equal"]),
            str(each["mutants_equal"]),
            str(each["rewritings_total"]),
            str(each["rewritings_not_right"]),
            f"{each['seconds']:.0f}",
        )
    console.print(table)
    for group, columns in (
        ("mutants", ("right", "equal", "ungraded", "wrong")),
        ("rewritings", ("right", "ungraded", "wrong")),
    ):
        kinds: dict[str, Counter[str]] = {}
        for each in found.values():
            for kind, outcomes in each[group].items():
                kinds.setdefault(kind, Counter()).update(outcomes)
        table = Table(group, "all", *columns)
        for kind, outcomes in sorted(kinds.items()):
            table.add_row(kind, str(outcomes.total()), *(str(outcomes[column]) for column in columns))
        console.print(table)
        shown: Counter[str] = Counter()
        for each in found.values():
            for case in each[f"{group}_exceptions"]:
                shown[case["kind"]] += 1
                if shown[case["kind"]] <= EXAMPLES:
                    console.print(f"  {case['kind']}: {case['gold']}  |  {case['answer']}  {case['outcome']}")


if __name__ == "__main__":
    typer.run(main)
