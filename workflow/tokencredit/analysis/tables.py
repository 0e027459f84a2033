"""Tables as CSV (long: every record with its origin) and LaTeX (wide: the paper's layout)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tokencredit import files, provenance
from tokencredit.analysis import results
from tokencredit.analysis.store import Store

TABLES = {"table1": results.table1, "table3": results.table3}

MARKS = {
    "†": "reconstruction: the published formula was not available",
    "‡": "some of the benchmark's problems occur in the training data (their number follows)",
    "*": "differs from the method compared with (Holm-adjusted p < 0.05)",
    "✗": "invalid run: not compared",
}


def make(store: Store, name: str, out: Path) -> list[Path]:
    """Write ``<name>.csv``, ``.tex`` and ``.json`` (provenance) into ``out``; the paths made."""
    table = TABLES[name](store)
    paths = [out / f"{name}.{suffix}" for suffix in ("csv", "tex", "json")]
    files.write_text(paths[0], table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    files.write_text(paths[1], latex(wide(table, store)))
    origin = {"name": name, "study": store.study.name, "code_digest": provenance.code_digest("analysis.tables")}
    files.write_json(paths[2], origin | {"files": store.provenance(name)})
    return paths


def read(path: Path) -> pd.DataFrame:
    """A table that ``make`` wrote."""
    files.sha256(path)  # names the table if it was not made
    texts = ["seeds", "invalid", "grader", "engine", "data_sha256", "model_sha256", "code_digest"]
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str)).fillna(dict.fromkeys(texts, ""))


@dataclass(frozen=True)
class Cell:
    """One entry of the wide table: the value with its interval, the marks, and the lines below it."""

    value: str
    interval: str = ""
    marks: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wide:
    """The paper's layout: one line per method, two columns per benchmark (Avg, Pass), the mean last."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str]


def wide(table: pd.DataFrame, store: Store) -> Wide:
    titles = {name: benchmark.title for name, benchmark in store.study.benchmarks.items()}
    columns: list[tuple[str, str]] = []
    for name, records in table.groupby("benchmark", sort=False):
        record = records.iloc[0]
        if name == results.MEAN:
            columns.append(("Mean", "Avg"))
            continue
        head = f"{titles[name]} (n = {record['questions']})"
        columns += [(head, f"Avg@{record['samples']:.0f}"), (head, f"Pass@{record['pass_k']:.0f}")]
    rows = []
    for _, records in table.groupby("method", sort=False):
        first = records.iloc[0]
        title = first["title"] + ("†" if first["reconstruction"] else "") + (" ✗" if first["invalid"] else "")
        cells: list[Cell] = []
        for record in records.to_dict("records"):
            cells.append(_average_cell(record))
            if record["benchmark"] != results.MEAN:
                cells.append(_pass_cell(record))
        rows.append((title, cells))
    return Wide(columns, rows, _notes(table, store))


def _average_cell(record: dict) -> Cell:
    notes = []
    if not math.isnan(record["difference"]):
        notes.append(
            f"{_signed(record['difference'])} [{_signed(record['difference_low'])}, {_signed(record['difference_high'])}], "
            f"p {_p(record['p_holm'])}"
        )
    shares = [f"{name} {record[name]:.1f} %" for name in ("ungraded", "truncated") if record.get(name, 0) > 0]
    return Cell(
        f"{record['avg']:.1f}",
        f"[{record['avg_low']:.1f}, {record['avg_high']:.1f}]",
        ("*" if record["p_holm"] < 0.05 else "") + (f"‡{record['overlapping']}" if record["overlapping"] else ""),
        (*notes, *([", ".join(shares)] if shares else []), *_printed(record["printed_avg"])),
    )


def _pass_cell(record: dict) -> Cell:
    marks = f"‡{record['overlapping']}" if record["overlapping"] else ""
    interval = f"[{record['pass_low']:.1f}, {record['pass_high']:.1f}]"
    return Cell(f"{record['pass']:.1f}", interval, marks, _printed(record["printed_pass"]))


def _printed(value: float) -> tuple[str, ...]:
    return () if math.isnan(value) else (f"paper {value:.1f}",)


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


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
        f"Sampling: temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at most {sampling.max_response_tokens} tokens; "
        f"grader {table['grader'].iloc[0]}; training seeds {', '.join(map(str, store.study.training.seeds))}.",
        "The CSV file holds question error, sampling error and training-seed spread as three columns, Maj@n, and the smallest "
        "difference that each comparison could have found.",
    ]
    used = (
        "".join(table["title"])
        + ("†" if table["reconstruction"].any() else "")
        + ("✗" if (table["invalid"] != "").any() else "")
    )
    used += ("‡" if table["overlapping"].any() else "") + ("*" if (table["p_holm"] < 0.05).any() else "")
    lines += [f"{mark} {meaning}." for mark, meaning in MARKS.items() if mark in used]
    invalid = table.drop_duplicates("method").query("invalid != ''")
    return lines + [f"{row.title} is invalid: {row.invalid}." for row in invalid.itertuples()]


# ---------------------------------------------------------------- LaTeX

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "✗": r"\texttimes{}",
    "α": r"$\alpha$",
    "−": r"\textminus{}",
    "±": r"\textpm{}",
}


def escape_latex(text: str) -> str:
    """``text`` as LaTeX shows it letter by letter."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex(table: Wide) -> str:
    """A ``tabular`` for ``\\input`` (package booktabs; textcomp symbols), notes as a comment-free paragraph below."""
    heads: dict[str, int] = {}
    for head, _ in table.columns:
        heads[head] = heads.get(head, 0) + 1
    upper = " & ".join(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(head)}}}" for head, span in heads.items())
    lower = " & ".join(escape_latex(metric) for _, metric in table.columns)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        rf" & {upper} \\",
        rf" & {lower} \\",
        r"\midrule",
    ]
    for title, cells in table.rows:
        values = [f"{cell.value}{escape_latex(cell.marks)}" for cell in cells]
        lines.append(" & ".join([escape_latex(title), *values]) + r" \\")
        lines.append(" & ".join(["", *(rf"{{\scriptsize {escape_latex(cell.interval)}}}" for cell in cells)]) + r" \\")
        for level in range(max(len(cell.notes) for cell in cells)):
            below = [escape_latex(cell.notes[level]) if level < len(cell.notes) else "" for cell in cells]
            lines.append(" & ".join(["", *(rf"{{\tiny {note}}}" if note else "" for note in below)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", "", r"{\footnotesize " + " ".join(map(escape_latex, table.notes)) + "}"]
    return "\n".join(lines) + "\n"
