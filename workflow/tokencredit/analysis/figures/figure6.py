"""Figure 6: how entropy moves in training, per method and per quadrant."""

from __future__ import annotations

import pandas as pd

from tokencredit.analysis import style
from tokencredit.analysis.figures.figure2 import training_curve
from tokencredit.analysis.store import Store
from tokencredit.credit import QUADRANTS
from tokencredit.statistics import question_se
from tokencredit.study.paths import RunFolder

FLOOR = 1e-5  # nats; a shift below this is drawn here: a log axis has no zero


def draw(store: Store) -> style.Drawn:
    """(a) Training entropy per method. (b) |H_now - H_base| of fixed tokens under the reference method, by their quadrant, log axis."""
    study = store.study
    lines = style.marked_lines(store, study.methods)
    columns = 2 if len(lines) > 5 else 1
    entries = -(-len(lines) // columns)
    fig, axes = style.figure(1, 2, height=2.7 + 0.15 * max(0, entries - 5))
    left, right = axes.flat
    tables = []
    for name, line in lines.items():
        table = training_curve(store.metrics(name), "entropy", 1)
        style.curve(left, table["step"], table["value"], line, (table["low"], table["high"]))
        tables.append(table.assign(panel="entropy", method=name))
    left.set_ylabel("mean token entropy (nats)")
    style.steps(left)
    style.from_zero(left)
    style.letter(left, 0, "Training entropy")
    probe = store.tokens(RunFolder.probe, study.reference, ["step", "response", "quadrant", "entropy", "base_entropy"])
    for index, name in enumerate(QUADRANTS):
        part = probe[(probe["quadrant"] == index) & (probe["step"] > 0)]
        if part.empty:
            continue
        table = shift_curve(part)
        colour, dash, marker = style.KNOWN[name]
        line = style.Line(colour, dash, marker, style.QUADRANT_TITLES[name])
        style.curve(
            right, table["step"], table["value"].clip(lower=FLOOR), line, (table["low"], table["high"]), markers=True
        )
        tables.append(table.assign(panel="shift", method=study.reference, quadrant=name))
    right.set_yscale("log")
    right.set(ylabel="|entropy − base's entropy| (nats)", xlim=left.get_xlim())
    style.steps(right)
    title = style.lines(study)[study.reference].title
    style.letter(right, 1, f"Shift of fixed tokens, {title}")
    style.legend_under(left, columns)
    style.legend_under(right)
    tokens = probe[probe["step"] == probe["step"].max()]
    note = (
        f"(a): {style.seeds_note(study)}, mean over 5 steps"
        + ("; bands are the range over seeds. " if len(study.training.seeds) > 1 else ". ")
        + f"(b): {len(tokens):,} tokens of {tokens.groupby(['seed', 'response']).ngroups} responses of the base policy, scored again in "
        f"training; quadrants by the base policy; bands are 95 % intervals over responses."
    )
    table = style.with_invalid(pd.concat(tables, ignore_index=True), store)
    return style.Drawn(fig, table, " ".join([note, *style.marks_note(store, lines)]))


def shift_curve(tokens: pd.DataFrame) -> pd.DataFrame:
    """Mean |H_now - H_base| in nats against steps; the interval is over responses (ratio estimate), whose tokens are not independent."""
    shift = tokens.assign(shift=(tokens["entropy"] - tokens["base_entropy"]).abs())
    records = []
    for step, part in shift.groupby("step"):
        value = part["shift"].mean()
        responses = part.groupby(["seed", "response"])["shift"].agg(["sum", "size"])
        # Each response's pull on the mean; its spread is the standard error of a ratio of sums.
        pull = (responses["sum"] - value * responses["size"]) / responses["size"].mean()
        margin = 1.96 * question_se(pull)
        records.append(
            {
                "step": step,
                "value": value,
                "low": max(FLOOR, value - margin),
                "high": value + margin,
                "tokens": len(part),
            }
        )
    return pd.DataFrame(records)
