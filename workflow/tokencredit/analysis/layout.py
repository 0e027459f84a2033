"""The layout of a wide table, with its marks, and the same as LaTeX."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

MARKS = {
    "†": "reconstruction: the published formula was not available",
    "‡": "some of the benchmark's problems occur in the training data (their number follows)",
    "*": "differs from the method compared with (Holm-adjusted p < 0.05)",
    "✗": "invalid run: not compared",
}


@dataclass(frozen=True)
class Cell:
    """One entry of the wide table: the value with its interval, the marks, and the lines below it."""

    value: str
    interval: str = ""
    marks: str = ""
    notes: tuple[str, ...] = ()


class WideLine(NamedTuple):
    """A line of the wide table; ``method``: the name of the row of the study that it is about, "" where it is about none."""

    title: str
    cells: list[Cell]
    method: str = ""


@dataclass(frozen=True)
class Wide:
    """Lines under two lines of headings: ``columns`` are (heading, heading below it), equal headings side by side.

    ``long``: it may take several pages, and its titles and notes are sentences.
    """

    columns: list[tuple[str, str]]
    rows: list[WideLine]
    notes: list[str]
    long: bool = False

    @property
    def heads(self) -> dict[str, int]:
        """The upper headings, each with the number of columns below it."""
        return dict(Counter(head for head, _ in self.columns))


def marked(title: str, reconstruction: bool, invalid: str) -> str:
    """A method's title with its marks (reconstruction, invalid run)."""
    return title + ("†" if reconstruction else "") + (" ✗" if invalid else "")


def number(value: float, digits: int) -> str:
    """``value`` with a minus sign in place of a hyphen, and no minus zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """``value`` with its sign, which zero has not: +1.4, −0.3, 0.0."""
    return ("+" if round(value, digits) > 0 else "") + number(value, digits)


def meanings(used: str) -> list[str]:
    """What the marks in ``used`` mean, a sentence each."""
    return [f"{mark} {meaning}." for mark, meaning in MARKS.items() if mark in used]


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
    "|": r"\textbar{}",
    "α": r"$\alpha$",
    "φ": r"$\varphi$",
    "π": r"$\pi$",
    "ρ": r"$\rho$",
    "–": r"\textendash{}",
    "−": r"\textminus{}",
    "±": r"\textpm{}",
    "²": r"$^2$",
}


def escape_latex(text: str) -> str:
    """``text`` as LaTeX shows it letter by letter."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex(table: Wide) -> str:
    """A ``tabular`` (``longtable`` where it is long) for ``\\input`` (package booktabs), notes as a comment-free paragraph below."""
    environment, count = "longtable" if table.long else "tabular", len(table.columns)
    shape = rf"p{{0.4\linewidth}}*{{{count}}}{{p{{{0.5 / count:.2g}\linewidth}}}}" if table.long else "l" + "r" * count
    upper = " & ".join(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(head)}}}" for head, span in table.heads.items())
    lower = " & ".join(escape_latex(metric) for _, metric in table.columns)
    lines = [
        rf"\begin{{{environment}}}{{{shape}}}",
        r"\toprule",
        rf" & {upper} \\",
        rf" & {lower} \\",
        r"\midrule",
    ]
    for title, cells, _ in table.rows:
        values = [escape_latex(cell.value + cell.marks) for cell in cells]
        lines.append(" & ".join([escape_latex(title), *values]) + r" \\")
        if any(cell.interval for cell in cells):
            lines.append(
                " & ".join(["", *(rf"{{\scriptsize {escape_latex(cell.interval)}}}" for cell in cells)]) + r" \\"
            )
        for level in range(max(len(cell.notes) for cell in cells)):
            below = [escape_latex(cell.notes[level]) if level < len(cell.notes) else "" for cell in cells]
            lines.append(" & ".join(["", *(rf"{{\tiny {note}}}" if note else "" for note in below)]) + r" \\")
    lines += [
        r"\bottomrule",
        rf"\end{{{environment}}}",
        "",
        r"{\footnotesize " + " ".join(map(escape_latex, table.notes)) + "}",
    ]
    return "\n".join(lines) + "\n"
