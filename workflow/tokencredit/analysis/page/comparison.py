"""Methods against each other, as charts that the page draws: a value with its interval in each line, and a dot for each training seed."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import MaxNLocator

from tokencredit import statistics
from tokencredit.analysis import scores, style
from tokencredit.analysis.layout import number, signed
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.study.selection import paired

ROOM = 0.03  # of a chart's width, left free at either end
MOST = 2 / 3  # of the rows: those that a chart of differences must show at the width that they need


@dataclass(frozen=True)
class Difference:
    """How much higher a row ends than another, in points of the mean over benchmarks: ``tested``, its p after Holm, and that of each seed.

    ``dots``: nothing where the runs of a seed are no pairs.
    """

    row: Row
    tested: statistics.TwoLevel
    p_holm: float
    dots: tuple[float, ...]

    @property
    def resolved(self) -> bool:
        return self.p_holm < scores.LEVEL


@dataclass(frozen=True)
class Mark:
    """A line of a chart, in the colour number ``line`` (``colours``); ``method``: its name, "" of a model that is not trained here.

    ``value``, ``low``, ``high`` and ``dots`` are places from left to right in percent, 0 to 100. What lies outside the axis is at its end;
    a dot is left out, and so are all where the value is. ``beyond``: −1 or 1 where the value itself lies left or right of the axis.
    ``detail`` has the numbers.
    """

    title: str
    method: str
    line: int
    value: float
    low: float
    high: float
    dots: tuple[float, ...]
    text: str
    detail: str
    chosen: bool = False
    beyond: int = 0


@dataclass(frozen=True)
class Chart:
    """Lines one below the other on one axis. ``ticks``: place and label; ``zero``: the place of no difference."""

    name: str
    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float | None = None

    @property
    def has_dots(self) -> bool:
        return any(mark.dots for mark in self.marks)

    @property
    def is_cut(self) -> bool:
        return any(mark.beyond for mark in self.marks)


@dataclass(frozen=True)
class _Value:
    """What a mark shows, in the unit of the chart."""

    row: Row
    value: float
    low: float
    high: float
    dots: tuple[float, ...]
    detail: str


def differences(store: Store, rows: Iterable[str], other: str) -> list[Difference]:
    """Each valid row of ``rows`` against the row ``other``, over questions and training runs; p adjusted over all of them.

    Nothing where ``other`` is invalid.
    """
    study = store.study
    seeds = _seeds(store)
    if _invalid(store, other):
        return []
    names = [name for name in rows if name != other and not _invalid(store, name)]
    against = scores.lines_of(store, seeds[other])
    found = []
    for name in names:
        own = scores.lines_of(store, seeds[name])
        pairs = paired(study, seeds[name][0].method, seeds[other][0].method)
        tested = statistics.two_level_difference(list(own.values()), list(against.values()), paired=pairs)
        by_seed = 100 * (_by_seed(own) - _by_seed(against)) if pairs and len(seeds[name]) > 1 else ()
        found.append((seeds[name][0], tested, tuple(map(float, by_seed))))
    adjusted = statistics.holm([tested.p for _, tested, _ in found]) if found else []
    return [Difference(row, tested, float(p), dots) for (row, tested, dots), p in zip(found, adjusted, strict=True)]


def chart_of_differences(store: Store, found: list[Difference], other: str, chosen: str) -> Chart:
    """The differences from the row ``other``, largest first; ``chosen`` is set off."""
    against = _seeds(store)[other][0].title
    values = [
        _Value(
            each.row,
            *(100 * end for end in (each.tested.mean, each.tested.low, each.tested.high)),
            each.dots,
            f"{each.row.title} less {against}: {points(each.tested)}, p = {each.p_holm:.3f} after Holm's adjustment over "
            f"{len(found)} methods; finds ±{100 * each.tested.detectable():.1f}",
        )
        for each in sorted(found, key=lambda each: -each.tested.mean)
    ]
    return _chart(store, "difference", f"Points above or below {against}", values, with_sign=True, chosen=chosen)


def charts_of_scores(store: Store, table: pd.DataFrame) -> list[Chart]:
    """Avg@n of all rows, one chart for the mean over benchmarks and one for each benchmark, from ``tables/table1.csv``."""
    study, seeds = store.study, _seeds(store)
    averages = {name: scores.lines_of(store, of, names=study.benchmarks) for name, of in seeds.items()}
    charts = []
    for benchmark in [scores.MEAN, *study.benchmarks]:
        values = []
        for record in table[table["benchmark"] == benchmark].to_dict("records"):
            of = averages[record["method"]]
            own = {name: of[name] for name in (study.averaged if benchmark == scores.MEAN else [benchmark])}
            dots = tuple(map(float, 100 * _by_seed(own))) if len(seeds[record["method"]]) > 1 else ()
            low, high = record["avg_low"], record["avg_high"]
            detail = f"{record['title']}: {record['avg']:.1f}\u00a0%, 95\u00a0% interval {low:.1f} to {high:.1f} over "
            detail += f"{record['questions']} questions"
            if dots:
                detail += f"; training seeds: {', '.join(f'{dot:.1f}' for dot in dots)}"
            ends = (record[f"avg{end}"] for end in ("", "_low", "_high"))
            values.append(_Value(seeds[record["method"]][0], *ends, dots, detail))
        title = "Mean over benchmarks" if benchmark == scores.MEAN else study.benchmarks[benchmark].title
        charts.append(_chart(store, benchmark, title, values))
    return charts


def colours(store: Store) -> str:
    """The colour of each row, in the order of ``style.lines``, as rules of a style sheet: that of the figures, lighter on a dark ground."""
    found = [line.colour for line in style.lines(store.study).values()]
    light = "".join(f".line-{place} {{ color: {colour}; }}\n" for place, colour in enumerate(found))
    dark = "".join(f"  .line-{place} {{ color: {_lighter(colour)}; }}\n" for place, colour in enumerate(found))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _lighter(colour: str) -> str:
    """A colour of the same hue that is seen on a dark ground; black turns to white."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    lightness = max(lightness, 0.6) if saturation else 0.92 - 0.6 * lightness
    return to_hex(colorsys.hls_to_rgb(hue, lightness, saturation))


def points(found: statistics.TwoLevel) -> str:
    """A difference with its interval: ``+1.2 points [−0.3, 2.7]``."""
    mean, low, high = (100 * end for end in (found.mean, found.low, found.high))
    return f"{signed(mean, 1)} points [{number(low, 1)}, {number(high, 1)}]"


def _chart(
    store: Store, name: str, title: str, values: list[_Value], with_sign: bool = False, chosen: str = ""
) -> Chart:
    low, high = _axis(values, with_sign, chosen)

    def place(value: float) -> float:
        return round(100 * (min(max(value, low), high) - low) / (high - low), 2)

    lines = list(style.lines(store.study))
    marks = tuple(
        Mark(
            title=each.row.title,
            method=each.row.method or "",
            line=lines.index(each.row.name),
            value=place(each.value),
            low=place(each.low),
            high=place(each.high),
            dots=tuple(place(dot) for dot in each.dots if low <= dot <= high and low <= each.value <= high),
            text=_written(each.value, with_sign),
            detail=each.detail,
            chosen=each.row.name == chosen,
            beyond=(each.value > high) - (each.value < low),
        )
        for each in values
    )
    steps = [step for step in MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= step <= high]
    ticks = tuple((place(step), f"{step:g}".replace("-", "−")) for step in steps)
    return Chart(name, title, marks, ticks, place(0) if with_sign else None)


def _axis(values: list[_Value], with_sign: bool, chosen: str) -> tuple[float, float]:
    """The ends of a chart's axis: all intervals and dots.

    Of differences (``with_sign``) zero too, and no interval of a row far from most others: a method that collapsed would press the rest
    together. Far is more than half the width of the narrowest stretch that holds the intervals of ``MOST`` rows away from it. The row
    ``chosen`` is never left out.
    """
    kept = values
    if with_sign and values:
        ordered, count = sorted(values, key=lambda each: each.value), math.ceil(MOST * len(values))
        parts = [ordered[start : start + count] for start in range(len(values) - count + 1)]
        stretches = [(min(each.low for each in part), max(each.high for each in part)) for part in parts]
        first, last = min(stretches, key=lambda stretch: stretch[1] - stretch[0])
        reach = (last - first) / 2
        kept = [each for each in values if each.row.name == chosen or first - reach <= each.value <= last + reach]
    ends = [end for each in kept for end in (each.low, each.high, *each.dots)] + ([0.0] if with_sign else [])
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = ROOM * max(high - low, 1e-9)
    return low - room, high + room


def _written(value: float, with_sign: bool) -> str:
    return signed(value, 1) if with_sign else number(value, 1)


def _seeds(store: Store) -> dict[str, list[Row]]:
    """The rows of a study by name, one for each training seed."""
    found: dict[str, list[Row]] = {}
    for row in store.study.rows:
        found.setdefault(row.name, []).append(row)
    return found


def _by_seed(lines: dict[str, statistics.Line]) -> np.ndarray:
    """The mean over benchmarks of each training seed, a share."""
    return np.mean([line.shares.mean(1) for line in lines.values()], axis=0)


def _invalid(store: Store, name: str) -> str:
    return store.invalid(name) if name in store.study.methods else ""
