"""Figure 8: the token advantages that each method trains with."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import StrMethodFormatter

from tokencredit.analysis import style
from tokencredit.analysis.store import Store
from tokencredit.study.paths import RunFolder

BINS = 120


def draw(store: Store) -> style.Drawn:
    """One histogram per method of the advantages of the stored tokens, all stored steps; tokens that a method leaves out count as 0."""
    study = store.study
    lines = {name: line for name, line in style.lines(study).items() if name in study.methods}
    tokens = {
        name: store.tokens(RunFolder.rollouts, name, ["step", "problem_id", "sample", "advantage", "keep"]).assign(
            advantage=lambda table: table["advantage"].where(table["keep"], 0.0)
        )
        for name in lines
    }
    reach = 1.02 * max(table["advantage"].abs().max() for table in tokens.values())
    # An odd number of bins: zero lies in the middle of one.
    edges = np.linspace(-reach, reach, BINS + 2)
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    fig, axes = style.figure(rows, columns, height=1.45)
    records = []
    for index, (name, line) in enumerate(lines.items()):
        axis, values = axes.flat[index], tokens[name]["advantage"]
        counts, _ = np.histogram(values, edges)
        share = 100 * counts / counts.sum()
        axis.stairs(share, edges, fill=True, color=line.colour, linewidth=0)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set(xlim=(-reach, reach), ylim=(0.01, 150))
        style.zero(axis)
        style.letter(axis, index, line.title)
        axis.text(0.98, 0.96, f"{len(values):,} tokens", transform=axis.transAxes, ha="right", va="top")
        if index >= len(lines) - columns:
            axis.set_xlabel("token advantage")
        if index % columns == 0:
            axis.set_ylabel("tokens (%)")
        records += [
            {"method": name, "from": low, "to": high, "tokens": count}
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            if count
        ]
    for axis in axes.flat[len(lines) :]:
        axis.set_visible(False)
    group = study.training.group_size
    steps = sorted(set().union(*(table["step"] for table in tokens.values())))
    note = (
        f"Groups of {group} responses; n tokens as stated, of the stored prompts of steps {', '.join(map(str, steps))}, "
        f"{len(study.training.seeds)} training seed(s). A token that a method leaves out counts as 0."
    )
    return style.Drawn(fig, pd.DataFrame(records), note)
