"""Figure 2: what training on one quadrant does, against training steps."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from tokencredit.analysis import style
from tokencredit.analysis.store import Store
from tokencredit.statistics import mean_interval
from tokencredit.statistics.estimators import pass_at_k
from tokencredit.study.paths import RunFolder
from tokencredit.study.selection import figure2_methods

# The panels, and their names in the paper's numbers.
PRINTED = {"solve_rate": "solve_rate_percent", "entropy": "entropy_nats", "pass": "pass_percent", "avg": "avg_percent"}


def draw(store: Store) -> style.Drawn:
    """Four panels: training solve rate, training entropy, and Pass@n and Avg@n on the curve benchmark; quadrant runs and the reference."""
    study = store.study
    curve = study.training.curve
    chosen = figure2_methods(study)
    lines = style.marked_lines(store, chosen)
    fig, axes = style.figure(2, 2, height=2.3)
    panels = list(axes.flat)
    tables = []
    last = study.training.steps
    for index, (name, line) in enumerate(lines.items()):
        for axis, column, scale in ((panels[0], "solve_rate", 100), (panels[1], "entropy", 1)):
            table, single = (
                training_curve(store.metrics(name), column, scale),
                smoothed(store.metrics(name), column, scale),
            )
            style.curve(axis, table["step"], table["value"], line)
            tables += [part.assign(panel=column, method=name) for part in (table, *_seeds(axis, single, line))]
        for axis, metric in ((panels[2], "pass"), (panels[3], "avg")):
            table, single = evaluation_curve(store, name, metric), evaluation_seeds(store, name, metric)
            shift = 0.006 * last * (index - (len(lines) - 1) / 2)
            style.points(axis, table, line, shift)
            tables += [part.assign(panel=metric, method=name) for part in (table, *_seeds(axis, single, line, shift))]
    benchmark = study.config.benchmarks[curve.benchmark].title
    titles = [
        "Training solve rate",
        "Training entropy",
        f"{benchmark}: Pass@{curve.samples}",
        f"{benchmark}: Avg@{curve.samples}",
    ]
    labels = [
        "right responses (%)",
        "mean token entropy (nats)",
        f"Pass@{curve.samples} (%)",
        f"Avg@{curve.samples} (%)",
    ]
    for index, axis in enumerate(panels):
        style.letter(axis, index, titles[index])
        axis.set_ylabel(labels[index])
        style.steps(axis)
    tables = [table.assign(source="here") for table in tables] + _printed(store, panels)
    style.from_zero(panels[1])
    style.legend_below(fig, panels[-1], columns=len(lines) + ("figure2" in study.targets))
    note = (
        f"{benchmark}: n = {curve.problems} questions with {curve.samples} responses each, bars are 95 % intervals over questions. "
        f"(a), (b): mean over 5 steps. {style.seeds_note(study).capitalize()}"
        + ("; thin lines are the single seeds." if len(study.training.seeds) > 1 else ".")
    )
    columns = ["panel", "source", "method", "seed", "step", "value", "low", "high", "invalid"]
    table = style.with_invalid(pd.concat(tables, ignore_index=True), store)
    return style.Drawn(fig, table.reindex(columns=columns), " ".join([note, *style.marks_note(store, lines)]))


def _seeds(axis: Axes, table: pd.DataFrame, line: style.Line, shift: float = 0) -> list[pd.DataFrame]:
    """Draw the single seeds of a method where there are several; what was drawn."""
    if table["seed"].nunique() == 1:
        return []
    style.seeds(axis, table, line, shift)
    return [table]


def training_curve(metrics: pd.DataFrame, column: str, scale: float) -> pd.DataFrame:
    """A metric against steps: the mean over seeds of each seed's running mean over 5 steps, and the range over seeds."""
    smooth = smoothed(metrics, column, scale)
    return smooth.groupby("step")["value"].agg(value="mean", low="min", high="max").reset_index()


def smoothed(metrics: pd.DataFrame, column: str, scale: float) -> pd.DataFrame:
    """Each seed's running mean over 5 steps of a metric; columns seed, step, value."""
    rows = metrics.sort_values(["seed", "step"])
    means = rows.groupby("seed")[column].transform(lambda part: part.rolling(5, center=True, min_periods=1).mean())
    return rows[["seed", "step"]].assign(value=scale * means)


def evaluation_curve(store: Store, method: str, metric: str) -> pd.DataFrame:
    """Avg@n or Pass@n on the curve benchmark against steps, in percent, with intervals over questions; seeds are averaged per question."""
    records = []
    for step, part in _question_scores(store, method, metric).groupby("step"):
        scores = part.groupby("problem_id")["score"].mean()
        low, high = mean_interval(scores)
        records.append({"step": step, "value": 100 * scores.mean(), "low": 100 * low, "high": 100 * high})
    return pd.DataFrame(records)


def evaluation_seeds(store: Store, method: str, metric: str) -> pd.DataFrame:
    """The same for each training seed alone, without intervals; columns seed, step, value."""
    scores = _question_scores(store, method, metric)
    return scores.groupby(["seed", "step"])["score"].mean().mul(100).rename("value").reset_index()


def _question_scores(store: Store, method: str, metric: str) -> pd.DataFrame:
    """The score of every question of the curve benchmark under each seed, a share; columns step, problem_id, seed, score."""
    table = store.tokens(RunFolder.evaluations, method, ["step", "problem_id", "outcome"])
    table["right"] = table["outcome"] == "right"
    counts = table.groupby(["step", "problem_id", "seed"])["right"].agg(n="size", c="sum").reset_index()
    score = pass_at_k(counts["n"], counts["c"], counts["n"]) if metric == "pass" else counts["c"] / counts["n"]
    return counts.assign(score=score)


def _printed(store: Store, panels: list) -> list[pd.DataFrame]:
    """The paper's curves, read off its plot, where the study is to show them again; returns what was drawn."""
    if "figure2" not in store.study.targets:
        return []
    found = store.targets("figure2")
    lines = style.lines(store.study)
    drawn = []
    for axis, (panel, name) in zip(panels, PRINTED.items(), strict=True):
        for method, part in found[found["panel"] == name].groupby("method"):
            if method in lines:
                style.printed(axis, part["step"], part["value"], lines[method])
                drawn.append(part[["method", "step", "value"]].assign(panel=panel, source="paper"))
    style.printed_key(panels[-1])
    return drawn
