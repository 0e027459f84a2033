"""The gradient of each method's credit: by entropy of the tokens, its effective rank, and its angle with the reference method's."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import style
from tokencredit.analysis.credit.gradients import ATTENTION, DECILE, METHOD, records
from tokencredit.analysis.credit.states import CONFIDENCE
from tokencredit.analysis.store import Store

OF_ATTENTION = style.Line("#0072b2", style.DASHED, "^", "the same, of the attention")


def draw(store: Store) -> style.Drawn:
    """(a) Share of the gradient by decile of entropy, of the reference method thick. (b) Effective ranks. (c) Cosines."""
    table = records(store)
    part = dict(iter(table.groupby("part")))
    methods = part[METHOD].set_index("method")
    lines = style.marked_lines(store, methods.index)
    fig = style.page(9, max(3.2, 1.3 + 0.135 * len(lines)))
    left, *others = style.panels(fig, 1, 3, width_ratios=[1.4, 1, 1]).flat
    _by_decile(left, part, lines, store.study.reference)
    for axis, name, words in zip(
        others, ("rank", "cosine"), ("effective rank", "cosine with the reference's"), strict=True
    ):
        for place, (method, line) in enumerate(lines.items()):
            style.estimates(axis, [place], methods.loc[[method]], name, line, across=True)
        style.listed(axis, [line.title for line in lines.values()], named=name == "rank")
        axis.set_xlabel(words)
    for index, title in enumerate(["By entropy", "Directions", "Angle"]):
        style.letter([left, *others][index], index, title)
    return style.Drawn(fig, table, " ".join([_note(store, methods), *style.marks_note(store, lines)]))


def _by_decile(axis: Axes, part: dict[str, pd.DataFrame], lines: dict[str, style.Line], reference: str) -> None:
    for name, line in lines.items():
        own = part[DECILE][part[DECILE]["method"] == name]
        if name != reference:
            axis.plot(own["group"].astype(int), 100 * own["share"], color=line.colour, linewidth=style.HAIR, alpha=0.6)
            continue
        for kind, look in {DECILE: replace(line, title=f"{line.title}, of the token"), ATTENTION: OF_ATTENTION}.items():
            shown = part[kind][part[kind]["method"] == name]
            places = shown["group"].astype(int)
            style.curve(axis, places, 100 * shown["share"], look, markers=True, zorder=3)
            style.estimates(axis, places, shown, "share", replace(look, dash="", title=""), 100)
        axis.plot(
            places, 100 * own["tokens"], color=style.INK, linestyle=style.DOTTED, linewidth=style.BAR, label="tokens"
        )
    style.zero(axis, upright=False)
    axis.set(xlabel="decile of entropy in the response", ylabel="share of the gradient (%)", xticks=range(1, 11))
    style.legend_under(axis, columns=2)


def _note(store: Store, methods: pd.DataFrame) -> str:
    groups = methods["groups"]
    return (
        f"n = {groups.min():.0f} to {groups.max():.0f} groups for each method, to {methods['problems'].max():.0f} problems at most, of at "
        f"most {methods['responses'].max():.1f} responses with a gradient. Gradients in all weights of the base model of each method's "
        "loss on its stored responses of the first step, as one update, without terms that need no credit. (a) thin lines are the other "
        "methods; shares may fall below zero, where tokens pull against the rest. (b) mean over groups: 1 if all responses pull one way, "
        f"their number if all pull in other directions. Bars: {100 * CONFIDENCE:.0f} % intervals over problems, in (a) with the direction "
        f"of the whole gradient kept; {len(store.study.training.seeds)} training seed(s)."
    )
