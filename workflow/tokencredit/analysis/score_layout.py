"""The layout of the paper's Tables 1 and 3: scores with their intervals, and what a comparison found or could have found."""

from __future__ import annotations

import math

import pandas as pd

from tokencredit.analysis.layout import Cell, Wide, WideLine, marked, meanings, signed
from tokencredit.analysis.scores import MEAN, NOT_RESOLVED
from tokencredit.analysis.store import Store


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """The paper's layout: two columns per benchmark (Avg, Pass), then the mean, then what is beside it."""
    titles = {name: benchmark.title for name, benchmark in store.study.benchmarks.items()}
    columns: list[tuple[str, str]] = []
    for name, records in table.groupby("benchmark", sort=False):
        record = records.iloc[0]
        if name == MEAN:
            columns.append(("Mean", "Avg"))
            continue
        head = f"{titles[name]} (n = {record['questions']}){', beside' if name in store.study.beside else ''}"
        columns += [(head, f"Avg@{record['samples']:.0f}"), (head, f"Pass@{record['pass_k']:.0f}")]
    rows = []
    for method, records in table.groupby("method", sort=False):
        first = records.iloc[0]
        title = marked(first["title"], first["reconstruction"], first["invalid"])
        cells: list[Cell] = []
        for record in records.to_dict("records"):
            cells.append(_average_cell(record))
            if record["benchmark"] != MEAN:
                cells.append(_pass_cell(record))
        rows.append(WideLine(title, cells, method))
    return Wide(columns, rows, _notes(table, store))


def _average_cell(record: dict) -> Cell:
    notes = []
    if not math.isnan(record["difference"]):
        notes.append(
            f"{signed(record['difference'], 1)} [{signed(record['difference_low'], 1)}, {signed(record['difference_high'], 1)}], "
            f"p {_p(record['p_holm'])}"
        )
        if record["outcome"] == NOT_RESOLVED:
            notes.append(f"not resolved: {_needed(record)}")
    shares = [f"{name} {record[name]:.1f} %" for name in ("ungraded", "truncated") if record.get(name, 0) > 0]
    return Cell(
        f"{record['avg']:.1f}",
        f"[{record['avg_low']:.1f}, {record['avg_high']:.1f}]",
        ("*" if record["p_holm"] < 0.05 else "") + (f"‡{record['overlapping']}" if record["overlapping"] else ""),
        (*notes, *([", ".join(shares)] if shares else []), *_printed(record["printed_avg"])),
    )


def _needed(record: dict) -> str:
    """What a comparison could have found, and what a difference as large as the observed one takes."""
    ways = [("k", record["runs_samples_needed"]), ("seeds", record["runs_seeds_needed"])]
    enough = [f"{name} = {count:.0f}" for name, count in ways if math.isfinite(count)]
    more = " or ".join(enough) or ("more questions" if record["runs_seeds"] > 0 else "more seeds or questions")
    return f"finds ±{record['runs_detectable']:.1f}, takes {more}"


def _pass_cell(record: dict) -> Cell:
    marks = f"‡{record['overlapping']}" if record["overlapping"] else ""
    interval = f"[{record['pass_low']:.1f}, {record['pass_high']:.1f}]"
    return Cell(f"{record['pass']:.1f}", interval, marks, _printed(record["printed_pass"]))


def _printed(value: float) -> tuple[str, ...]:
    return () if math.isnan(value) else (f"paper {value:.1f}",)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _notes(table: pd.DataFrame, store: Store) -> list[str]:
    sampling = store.study.evaluation.sampling
    compared = table[table["difference"].notna()].groupby("reference", sort=False)["method"].unique()
    titles = table.drop_duplicates("method").set_index("method")["title"]
    lines = [
        "Percent; in brackets 95 % intervals over questions, which hold neither sampling nor training-seed noise of another run.",
        *(
            f"Below: paired difference in points against {titles[reference]} on the same questions, "
            f"p of a sign-flip test, Holm-adjusted over the {len(methods)} methods of a column."
            for reference, methods in compared.items()
        ),
        "not resolved: over questions and training runs at once the Holm-adjusted p is 0.05 or more; then the smallest difference that "
        "this comparison finds with 80 % power after the correction, and what the observed one takes: k responses per question, or "
        "training seeds of each method. With one seed nothing is known about training runs: what is resolved is so for these checkpoints.",
        f"Sampling: temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at most {sampling.max_response_tokens} tokens; "
        f"grader {table['grader'].iloc[0]}; training seeds {', '.join(map(str, store.study.training.seeds))}.",
        *(
            f"{benchmark.title}: beside the others, in no mean and no claim."
            for benchmark in store.study.beside.values()
        ),
        "The CSV file holds question error, sampling error and training-seed spread as three columns, Maj@n, and the smallest "
        "difference that each comparison could have found.",
    ]
    methods = table.drop_duplicates("method")
    used = "".join(marked(row.title, row.reconstruction, row.invalid) for row in methods.itertuples())
    used += ("‡" if table["overlapping"].any() else "") + ("*" if (table["p_holm"] < 0.05).any() else "")
    invalid = methods.query("invalid != ''")
    return lines + meanings(used) + [f"{row.title} is invalid: {row.invalid}." for row in invalid.itertuples()]
