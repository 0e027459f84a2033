"""One look for all figures: a fixed order, colour and line of every method, and how a figure is saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from tokencredit import files
from tokencredit.analysis.commit import checkout
from tokencredit.analysis.layout import marked, meanings
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.study import code
from tokencredit.study.paths import FIGURE_FILES
from tokencredit.study.selection import base_row


@dataclass(frozen=True)
class Line:
    """How a method is drawn: colours are of the Okabe-Ito and Tol sets, told apart with any kind of colour vision."""

    colour: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str
    title: str


SOLID, DASHED, DOTTED = "-", (0, (4, 1.5)), (0, (1, 1.2))
DASHES = (DASHED, DOTTED, (0, (4, 1.2, 1, 1.2)), (0, (8, 1.5)))  # of methods that have no line of their own
# Quadrants: the colour is the polarity (blue right, red wrong), the line is the entropy (solid high, dashed low).
KNOWN: dict[str, tuple[str, Any, str]] = {
    "base": ("#7f7f7f", DOTTED, "x"),
    "grpo": ("#000000", SOLID, "o"),
    "dapo": ("#8c6d31", SOLID, "v"),
    "eapo": ("#009e73", SOLID, "D"),
    "hapo": ("#aa4499", SOLID, "P"),
    "phr": ("#0072b2", SOLID, "^"),
    "plr": ("#56b4e9", DASHED, "^"),
    "nhr": ("#d55e00", SOLID, "s"),
    "nlr": ("#e69f00", DASHED, "s"),
}
OTHERS = ("#332288", "#882255", "#44aa99", "#ddcc77", "#117733", "#999933", "#cc6677", "#6699cc", "#661100", "#888888")
QUADRANT_TITLES = {
    "phr": "PHR: right, high entropy",
    "plr": "PLR: right, low entropy",
    "nhr": "NHR: wrong, high entropy",
    "nlr": "NLR: wrong, low entropy",
}
PAPER = "#a8a8a8"  # what the paper printed
HOLLOW = {"color": PAPER, "markerfacecolor": "white", "markeredgewidth": 0.7, "linewidth": 0.8, "zorder": 1}
POINTS = Line(PAPER, "", "o", "paper")  # numbers of the paper that no line joins
RIGHT, WRONG = KNOWN["phr"][0], KNOWN["nhr"][0]


def lines(study: Study) -> dict[str, Line]:
    """The line of every row of a study, in the order in which rows are drawn and listed everywhere."""
    titles = {row.name: row.title for row in study.rows}
    base = base_row(study)
    known = [name for name in KNOWN if name in titles]
    if base is not None and base.name not in known:
        known = [base.name, *known]
    others = [name for name in titles if name not in known]
    found = {
        name: Line(*KNOWN["base" if base is not None and name == base.name else name], titles[name]) for name in known
    }
    for index, name in enumerate(others):
        found[name] = Line(OTHERS[index % len(OTHERS)], DASHES[index // len(OTHERS) % len(DASHES)], "o", titles[name])
    return found


def marked_lines(store: Store, names: Iterable[str]) -> dict[str, Line]:
    """The lines of the rows ``names``, their titles marked as in the tables: reconstructed, or with an invalid run."""
    methods, chosen = store.study.methods, set(names)
    return {
        name: replace(
            line, title=marked(line.title, name in methods and methods[name].reconstruction, _invalid(store, name))
        )
        for name, line in lines(store.study).items()
        if name in chosen
    }


def marks_note(store: Store, drawn: dict[str, Line]) -> list[str]:
    """What the marks in the titles of ``drawn`` mean, a sentence each, and which runs are invalid."""
    plain = lines(store.study)
    runs = [f"{plain[name].title}, {reason}" for name in drawn if (reason := _invalid(store, name))]
    said = meanings("".join(line.title for line in drawn.values()))
    return [*said, f"Invalid: {'; '.join(runs)}."] if runs else said


def with_invalid(table: pd.DataFrame, store: Store) -> pd.DataFrame:
    """The numbers of a figure with a column ``invalid``: whether a run of the method is. Those of the paper are not."""
    unsound = [name for name in store.study.methods if name in set(table["method"]) and _invalid(store, name)]
    of_paper = table["source"] == "paper" if "source" in table else False
    return table.assign(invalid=table["method"].isin(unsound) & ~np.asarray(of_paper))


def _invalid(store: Store, name: str) -> str:
    return store.invalid(name) if name in store.study.methods else ""


def figure(rows: int, columns: int, width: float = 7.2, height: float = 2.6) -> tuple[Figure, np.ndarray]:
    """An empty grid of panels, lettered (a), (b), … from left to right; sizes in inches, ``height`` of one row."""
    fig = page(width, height * rows + 0.45)
    return fig, panels(fig, rows, columns)


def page(width: float, height: float) -> Figure:
    """A figure with nothing on it yet; sizes in inches."""
    import seaborn as sns

    sns.set_theme(context="paper", style="ticks", font="DejaVu Sans", rc=RC)
    return Figure(figsize=(width, height), layout="constrained")


def panels(parent: FigureBase, rows: int, columns: int, **more: Any) -> np.ndarray:
    """A grid of panels on a figure or a part of one, [rows, columns]; ``more`` as for matplotlib's ``subplots``."""
    import seaborn as sns

    axes = parent.subplots(rows, columns, squeeze=False, **more)
    for axis in axes.flat:
        sns.despine(ax=axis)
    return axes


RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "axes.unicode_minus": True,
}


def letter(axis: Axes, index: int, title: str) -> None:
    """A panel's title: (a), (b), … (z), (aa), (bb), …"""
    name = ascii_lowercase[index % 26] * (1 + index // 26)
    axis.set_title(f"({name}) {title}", loc="left", fontweight="bold")


def curve(
    axis: Axes, x: Any, y: Any, line: Line, band: tuple[Any, Any] | None = None, markers: bool = False, **more: Any
) -> None:
    """A method's line; ``band``: the ends of an interval, shaded."""
    marker = line.marker if markers else None
    axis.plot(
        x, y, color=line.colour, linestyle=line.dash, marker=marker, label=line.title, markeredgewidth=0.7, **more
    )
    if band is not None:
        axis.fill_between(x, *band, color=line.colour, alpha=0.12, linewidth=0)


def steps(axis: Axes) -> None:
    """The x axis of a training curve: whole steps."""
    axis.set_xlabel("training step")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def from_zero(axis: Axes) -> None:
    """Let the y axis begin at 0, with room above the highest line."""
    axis.set_ylim(0, 1.06 * axis.dataLim.ymax)


def points(axis: Axes, table: pd.DataFrame, line: Line, shift: float) -> None:
    """A method's line with an error bar at each point, moved sideways by ``shift`` so that the bars of methods are side by side."""
    x, y = table["step"] + shift, table["value"]
    reach = np.maximum(0, np.array([y - table["low"], table["high"] - y]))
    axis.plot(x, y, color=line.colour, linestyle=line.dash, marker=line.marker, label=line.title)
    axis.errorbar(x, y, reach, fmt="none", ecolor=line.colour, elinewidth=0.7, alpha=0.55)


def estimates(
    axis: Axes, places: Any, table: pd.DataFrame, name: str, line: Line, scale: float = 1, across: bool = False
) -> None:
    """Points of a column with the intervals in ``<name>_low`` and ``<name>_high``, all times ``scale``, upright or ``across``."""
    value, low, high = (scale * table[key].to_numpy(float) for key in (name, f"{name}_low", f"{name}_high"))
    reach = np.nan_to_num(np.maximum(0, [value - low, high - value]))
    points, bars = ((value, places), {"xerr": reach}) if across else ((places, value), {"yerr": reach})
    look = {"fmt": line.marker, "color": line.colour, "label": line.title}
    axis.errorbar(*points, **bars, **look, markersize=3, elinewidth=0.8, zorder=3)


def printed(axis: Axes, x: Any, y: Any, line: Line, **more: Any) -> None:
    """The paper's numbers for a method: grey, hollow, with the marker and the dash of the method."""
    style = {"linestyle": line.dash, "marker": line.marker, **HOLLOW, **more}
    axis.plot(x, y, **style)


def printed_key(axis: Axes) -> None:
    """The entry of the paper's numbers in the legend."""
    axis.plot([], [], linestyle=SOLID, marker="o", label="paper", **HOLLOW)


def legend_below(fig: FigureBase, axis: Axes, columns: int) -> None:
    """One legend for all panels, under them."""
    handles, labels = axis.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.4)


@dataclass(frozen=True)
class Drawn:
    """A finished figure: the picture, the numbers in it, and what its caption must say about n and intervals."""

    figure: Figure
    table: pd.DataFrame
    note: str


def save(drawn: Drawn, name: str, store: Store, out: Path) -> list[Path]:
    """Write ``<name>.pdf``, ``.png``, ``.csv`` and ``.json`` (note and provenance); the same input gives the same bytes."""
    paths = [out / f"{name}.{suffix}" for suffix in FIGURE_FILES]
    mpl.rcParams.update(RC)
    for path, metadata in ((paths[0], {"CreationDate": None}), (paths[1], {"Software": None})):
        with files.atomic_path(path) as temporary:
            drawn.figure.savefig(temporary, metadata=metadata, format=path.suffix[1:])
    files.write_text(paths[2], drawn.table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    origin = {
        "name": name,
        "study": store.study.name,
        "note": drawn.note,
        "training_seeds": list(store.study.training.seeds),
        "code_digest": code.exhibit(store.study, "figure", name),
        **checkout(),
        "made": {path.name: files.sha256(path) for path in paths[:3]},
        "files": store.provenance("figure", name),
    }
    files.write_json(paths[3], origin)
    return paths


def seeds_note(study: Study) -> str:
    count = len(study.training.seeds)
    return "one training seed" if count == 1 else f"mean of {count} training seeds"
