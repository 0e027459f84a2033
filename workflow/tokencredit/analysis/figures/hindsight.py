"""The shift of a token once the policy is told the answer: against what was measured, and along entropy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from tokencredit.analysis import style
from tokencredit.analysis.credit.hindsight import AGREEMENT, ALL, DECILE, SHIFT, records
from tokencredit.analysis.credit.states import CONFIDENCE
from tokencredit.analysis.layout import number
from tokencredit.analysis.store import Store

# What is drawn along entropy.
ALONG = {
    "entropy": style.Line("#e69f00", style.DASHED, "s", "entropy H, the bound of mean I"),
    "information": style.Line("#0072b2", style.SOLID, "o", "measured information I"),
    "told_kl": style.Line("#aa4499", style.SOLID, "P", "KL of told policy and policy"),
    "size": style.Line("#009e73", style.SOLID, "D", "|D| of the token taken"),
}
LINEAR = 0.01  # nats; below it the axes of (a) are linear, for most tokens hardly shift
TICKS = (-10, -1, -0.1, 0, 0.1, 1)  # nats
BIN = style.Line("#0072b2", "", "o", "tokens of a tenth of D")
SAID = {
    "signed": ("signed ρ of D and Q − V within a group", 1, 2, ""),
    "direction": ("D has the sign of a resolved Q − V at", 100, 0, " %"),
    "auc": ("AUC of |D| by credit", 1, 2, ""),
}


def draw(store: Store) -> style.Drawn:
    """(a) log of Q over V by tenths of D against what D says it should be. (b) H, I, KL and the size of D by decile of entropy."""
    table = records(store)
    part = dict(iter(table.groupby("part")))
    fig, axes = style.figure(1, 2, height=2.9)
    left, right = axes.flat
    _compared(left, part[SHIFT])
    _along(right, part[DECILE])
    for axis, index, title in ((left, 0, "Told and measured"), (right, 1, "By entropy")):
        style.letter(axis, index, title)
        style.legend_under(axis, columns=1 if axis is left else 2)
    return style.Drawn(fig, table, _note(store, part))


def _compared(axis: Axes, table: pd.DataFrame) -> None:
    found = table[["expected", "measured"]].to_numpy(float)
    reach = [np.nan_to_num(_reach(table, name)) for name in ("expected", "measured")]
    axis.errorbar(
        *found.T, xerr=reach[0], yerr=reach[1], fmt=BIN.marker, color=BIN.colour, label=BIN.title, elinewidth=style.BAR
    )
    ends = np.array([np.nanmin(found), np.nanmax(found)])
    axis.plot(ends, ends, color=style.INK, linestyle=style.DASHED, linewidth=style.BAR, label="posterior compatibility")
    style.zero(axis)
    style.zero(axis, upright=False)
    axis.set_xscale("symlog", linthresh=LINEAR)
    axis.set_yscale("symlog", linthresh=LINEAR)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(FixedLocator(TICKS))
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        side.set_minor_locator(NullLocator())
    axis.set(xlabel="log of V exp D over V (nats)", ylabel="measured log of Q over V (nats)")


def _along(axis: Axes, table: pd.DataFrame) -> None:
    places = table["group"].astype(int)
    for name, line in ALONG.items():
        shown = table[name].where(table[name] > 0)
        style.curve(axis, places, shown, line, markers=True)
        low, high = (table[f"{name}_{end}"].clip(lower=0) for end in ("low", "high"))
        axis.errorbar(places, shown, [shown - low, high - shown], fmt="none", ecolor=line.colour, elinewidth=style.BAR)
    axis.set_yscale("log")
    axis.set(xlabel="decile of entropy", ylabel="mean over tokens (nats)", xticks=list(places))


def _reach(table: pd.DataFrame, name: str) -> np.ndarray:
    value, low, high = (table[key].to_numpy(float) for key in (name, f"{name}_low", f"{name}_high"))
    return np.maximum(0, [value - low, high - value])


def _note(store: Store, part: dict[str, pd.DataFrame]) -> str:
    everything, deciles = part[ALL].iloc[0], part[DECILE]
    weights = deciles["states"] / deciles["states"].sum()
    beyond, measured = (100 * weights @ deciles[name] for name in ("beyond", "measured_beyond"))
    agreed = part[AGREEMENT].set_index("group")
    said = "; ".join(
        f"{words} {_interval(agreed.loc[name], scale, digits)}{unit}"
        for name, (words, scale, digits, unit) in SAID.items()
        if pd.notna(agreed.loc[name, "value"])
    )
    return (
        f"Base model: n = {everything['states']:,.0f} states with several candidates in (a), {deciles['states'].sum():,.0f} in (b), of "
        f"responses to {everything['problems']:.0f} problems, {len(store.study.training.seeds)} training seed(s). Over all of (a) D says "
        f"{number(everything['expected'], 3)} nats and {number(everything['measured'], 3)} are measured; a policy's own tokens have 0 in "
        f"expectation. D as credit: {said or 'nothing is known'}. |D| exceeds H at {number(beyond, 1)} % of the tokens, the measured log "
        f"of Q over V with its whole interval at {number(measured, 1)} %: H bounds I, a mean over tokens, and no single one. Means that "
        f"are not above zero are not drawn. Bars: {100 * CONFIDENCE:.0f} % intervals over problems."
    )


def _interval(line: pd.Series, scale: float, digits: int) -> str:
    value, low, high = (number(scale * line[key], digits) for key in ("value", "value_low", "value_high"))
    return f"{value} [{low}, {high}]"
