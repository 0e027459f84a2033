"""One look for all figures: a fixed order, colour and line of every method, and how a figure is saved."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

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


# Points. Letters: titles and axes; ticks, keys and what is written inside a panel. Lines: what is measured; its interval, and lines to
# compare it with; single seeds, other methods and the grid. Marks: of a value, and of a single seed.
TEXT, SMALL = 8.0, 7.0
LINE, BAR, HAIR = 1.3, 0.8, 0.5
MARK, DOT = 3.5, 2.5

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
MARKERS = ("o", "X", "<", ">", "d", "*", "p")  # seven of ten colours: no two of seventy methods share both
QUADRANT_TITLES = {
    "phr": "PHR: right, high entropy",
    "plr": "PLR: right, low entropy",
    "nhr": "NHR: wrong, high entropy",
    "nlr": "NLR: wrong, low entropy",
}
INK = "#333333"  # lines of no method
ZERO = "#bbbbbb"  # where nothing is
PAPER = "#a8a8a8"  # what the paper printed
LEGIBLE = 4.5  # contrast of letters and ground: WCAG 2.2, level AA
HOLLOW = {"color": PAPER, "markerfacecolor": "white", "markeredgewidth": HAIR, "linewidth": BAR, "zorder": 1}
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
        dash = DASHES[index // len(OTHERS) % len(DASHES)]
        found[name] = Line(OTHERS[index % len(OTHERS)], dash, MARKERS[index % len(MARKERS)], titles[name])
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
    "font.size": SMALL,
    "figure.titlesize": TEXT,
    "figure.titleweight": "bold",
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": LINE,
    "lines.markersize": MARK,
    "lines.markeredgewidth": BAR,  # of crosses, which are nothing but edge
    "patch.linewidth": BAR,
    "axes.linewidth": BAR,
    **{f"{axis}tick.{kind}.width": width for axis in "xy" for kind, width in (("major", BAR), ("minor", HAIR))},
    **{f"{axis}tick.{kind}.size": size for axis in "xy" for kind, size in (("major", 3), ("minor", 1.5))},
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": HAIR,
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
    axis.plot(x, y, color=line.colour, linestyle=line.dash, marker=marker, label=line.title, **more)
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
    curve(axis, table["step"] + shift, table["value"], line, markers=True)
    bars(axis, table["step"] + shift, table, line)


def bars(axis: Axes, x: Any, table: pd.DataFrame, line: Line) -> None:
    """The intervals of a method's values, upright at the places ``x``."""
    reach = np.maximum(0, [table["value"] - table["low"], table["high"] - table["value"]])
    axis.errorbar(x, table["value"], reach, fmt="none", ecolor=line.colour, elinewidth=BAR, alpha=0.6)


def seeds(axis: Axes, table: pd.DataFrame, line: Line, shift: float = 0) -> None:
    """A thin line for each training seed of a method; columns ``seed``, ``step``, ``value``."""
    for _, own in table.groupby("seed"):
        axis.plot(own["step"] + shift, own["value"], color=line.colour, linewidth=HAIR, alpha=0.5, zorder=1)


def estimates(
    axis: Axes, places: Any, table: pd.DataFrame, name: str, line: Line, scale: float = 1, across: bool = False
) -> None:
    """Points of a column with the intervals in ``<name>_low`` and ``<name>_high``, all times ``scale``, upright or ``across``."""
    value, low, high = (scale * table[key].to_numpy(float) for key in (name, f"{name}_low", f"{name}_high"))
    reach = np.nan_to_num(np.maximum(0, [value - low, high - value]))
    points, ends = ((value, places), {"xerr": reach}) if across else ((places, value), {"yerr": reach})
    look = {"fmt": line.marker, "color": line.colour, "label": line.title}
    axis.errorbar(*points, **ends, **look, elinewidth=BAR, zorder=3)


def printed(axis: Axes, x: Any, y: Any, line: Line, **more: Any) -> None:
    """The paper's numbers for a method: grey, hollow, with the marker and the dash of the method."""
    style = {"linestyle": line.dash, "marker": line.marker, **HOLLOW, **more}
    axis.plot(x, y, **style)


def printed_key(axis: Axes) -> None:
    """The entry of the paper's numbers in the legend."""
    axis.plot([], [], linestyle=SOLID, marker="o", label="paper", **HOLLOW)


def zero(axis: Axes, upright: bool = True) -> None:
    """A faint line where a quantity is zero."""
    (axis.axvline if upright else axis.axhline)(0, color=ZERO, linewidth=BAR, zorder=0)


def listed(axis: Axes, titles: Sequence[str], named: bool = True, room: int = 0) -> None:
    """Let the y axis be a list from top to bottom, of at least ``room`` places; ``named``: with its titles."""
    axis.set_yticks(range(len(titles)), titles if named else [], parse_math=False)
    axis.set_ylim(max(len(titles), room) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")


def legible(colour: Any, ground: str = "white") -> float:
    """The contrast of letters of a colour on a ground (WCAG 2.2), 1 to 21; they are legible from 4.5."""
    low, high = sorted(map(_luminance, (colour, ground)))
    return (high + 0.05) / (low + 0.05)


def ink(colour: str) -> str:
    """A colour, darkened as far as it must be for letters on white."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    while legible(found := to_hex(colorsys.hls_to_rgb(hue, lightness, saturation))) < LEGIBLE:
        lightness *= 0.95
    return found


def _luminance(colour: Any) -> float:
    parts = np.array(to_rgb(colour))
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def legend_under(axis: Axes, columns: int = 1, drop: float = 28) -> None:
    """The legend of one panel, ``drop`` points under it: below its ticks and label, where no data can be."""
    below = axis.transAxes + ScaledTranslation(0, -drop / 72, axis.figure.get_figure(root=True).dpi_scale_trans)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=columns, handlelength=2.6)


def legend_below(fig: FigureBase, *axes: Axes, columns: int) -> None:
    """One legend for all panels, under them: what ``axes`` hold, each title once."""
    found = {title: handle for axis in axes for handle, title in zip(*axis.get_legend_handles_labels(), strict=True)}
    fig.legend(
        found.values(), found.keys(), loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.4
    )


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
