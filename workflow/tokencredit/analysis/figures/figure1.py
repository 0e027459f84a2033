"""Figure 1: the plane of polarity and entropy, measured: how many tokens lie in each quadrant, and how much of the advantage."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tokencredit.analysis import style
from tokencredit.analysis.credit.diagnostics import SPREAD
from tokencredit.analysis.store import Store
from tokencredit.credit import QUADRANTS

QUANTITIES = ("tokens", "mass", "entropy")
SIDE = 0.62  # of the largest square, where half an axis is 1


def draw(store: Store) -> style.Drawn:
    """(a) The plane, areas in proportion to shares of tokens (filled) and of |advantage| (outlined). (b) The shares. Reference method."""
    study = store.study
    title = style.lines(study)[study.reference].title
    metrics = store.metrics(study.reference, [f"{kind}_{name}" for kind in QUANTITIES for name in QUADRANTS])
    table = shares(metrics)
    fig = style.page(7.2, 3.5)
    left, right = style.panels(fig, 1, 2, width_ratios=[1.25, 1]).flat
    values = table.set_index(["quantity", "quadrant"])
    _plane(left, values["value"])
    _bars(right, values)
    style.letter(left, 0, f"Polarity and entropy, {title}")
    style.letter(right, 1, "Shares")
    style.legend_below(fig, right, columns=2)
    note = (
        f"{title}: means over n = {len(metrics)} training steps ({len(study.training.seeds)} training seed(s), "
        f"{int(metrics['tokens'].sum()):,} response tokens), of each step's share; bars hold the middle 90 % of the steps. High: at or "
        "above the mean entropy of the group's tokens."
    )
    return style.Drawn(fig, table, note)


def shares(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean over steps and seeds of each quadrant's share of tokens, share of |advantage| (percent) and mean entropy (nats), with quantiles.

    Steps without a token in the quadrant have no entropy there, and steps without any advantage no share of it: they are left out.
    """
    records = []
    for kind in QUANTITIES:
        for name in QUADRANTS:
            values = (1 if kind == "entropy" else 100) * metrics[f"{kind}_{name}"].astype(float).dropna()
            low, high = values.quantile(SPREAD)
            records.append(
                {
                    "quantity": kind,
                    "quadrant": name,
                    "value": values.mean(),
                    "low": low,
                    "high": high,
                    "steps": len(values),
                }
            )
    return pd.DataFrame(records)


def _plane(axis: Axes, values: pd.Series) -> None:
    largest = values[["tokens", "mass"]].max()
    for name in QUADRANTS:
        right, up = (1 if name[0] == "p" else -1), (1 if name[1] == "h" else -1)
        colour = style.KNOWN[name][0]
        tokens, mass = (SIDE * np.sqrt(np.nan_to_num(values[kind, name]) / largest) for kind in ("tokens", "mass"))
        axis.add_patch(Rectangle((0, 0), right * tokens, up * tokens, color=colour, alpha=0.35, linewidth=0))
        axis.add_patch(Rectangle((0, 0), right * mass, up * mass, fill=False, edgecolor=colour, linewidth=style.LINE))
        entropy = values["entropy", name]
        said = "no token" if np.isnan(entropy) else f"entropy {entropy:.2g} nats"
        axis.text(
            right * 0.5,
            up * 0.98,
            f"{name.upper()}: {values['tokens', name]:.1f} % of tokens\n{values['mass', name]:.1f} % of |A|\n{said}",
            ha="center",
            va="top" if up > 0 else "bottom",
        )
    axis.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[-0.5, 0.5], yticks=[-0.5, 0.5])
    axis.set_xticklabels(["wrong responses", "right responses"])
    axis.set_yticklabels(["low entropy", "high entropy"], rotation=90, va="center")
    axis.tick_params(length=0)
    axis.grid(visible=False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.axhline(0, color=style.INK, linewidth=style.BAR)
    axis.axvline(0, color=style.INK, linewidth=style.BAR)


def _bars(axis: Axes, values: pd.DataFrame) -> None:
    """Two bars per quadrant, drawn as in the plane: tokens filled, |advantage| outlined."""
    for place, name in enumerate(QUADRANTS):
        colour = style.KNOWN[name][0]
        for kind, shift, look in (
            ("tokens", -0.2, {"color": colour, "alpha": 0.35}),
            ("mass", 0.2, {"facecolor": "none", "edgecolor": colour, "linewidth": style.LINE}),
        ):
            value, low, high = values.loc[(kind, name), ["value", "low", "high"]].astype(float)
            axis.barh(place + shift, value, height=0.36, **look)
            axis.plot([low, high], [place + shift] * 2, color=style.INK, linewidth=style.BAR)
    axis.barh([0], [0], color="#777777", alpha=0.35, label="share of tokens")
    axis.barh([0], [0], facecolor="none", edgecolor="#777777", linewidth=style.LINE, label="share of |advantage|")
    axis.set_yticks(range(len(QUADRANTS)), [style.QUADRANT_TITLES[name].replace(": ", "\n") for name in QUADRANTS])
    axis.set(ylim=(len(QUADRANTS) - 0.5, -0.5), xlabel="share (%)")
    axis.set_xlim(left=0)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
