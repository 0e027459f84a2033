"""The paper's printed numbers in one form, each with the standard error that its own text implies."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from tokencredit.analysis.store import Store
from tokencredit.statistics import NAN

MEAN = "mean"
TRAINING = "training"
ROUNDING = 0.05 / math.sqrt(3)  # of a number that is printed with one decimal
_PANELS = {
    "solve_rate_percent": (TRAINING, "solve_rate"),
    "entropy_nats": (TRAINING, "entropy"),
    "pass_percent": ("aime24", "pass"),
    "avg_percent": ("aime24", "avg"),
}


def implied_se(value: float, questions: float, samples: float, runs: float, k: float = 1, reading: float = 0) -> float:
    """Standard error in points, at most, of a printed percentage, from what the paper says of it.

    value: percent; of ``runs`` averaged training runs, each with ``samples`` responses to each of ``questions`` questions. k: responses of
    one try, 1 for an average. ``reading``: standard error of the number as it was read, in points.

    sqrt(p (1 - p) k / (questions samples runs) + reading^2). p(1-p) is the variance of a try if all questions were alike, and no spread of
    difficulty makes their mean larger (Jensen); an average over all choices of k out of the responses varies at most by k/samples of one
    try's variance (Hoeffding 1948). It holds sampling noise alone: the questions are the same for all, and how training seeds spread the
    paper does not say.
    """
    share = value / 100
    variance = share * (1 - share) * k / (questions * samples * runs)
    return math.sqrt(1e4 * variance + reading**2)


def printed(store: Store) -> pd.DataFrame:
    """All printed numbers that the study is to show again, one line each.

    source, title, page, method, benchmark (``mean`` of benchmarks, or ``training``), metric, k, step, printed, printed_se, questions,
    samples, runs, slip (why the printed number cannot be right). Percent, but for entropy (nats) and tokens.
    """
    parts = [_part(store, name, source) for name, source in store.study.targets.items()]
    columns = ["source", "title", "page", "method", "benchmark", "metric", "k", "step", "printed", "printed_se"]
    return pd.concat(parts, ignore_index=True)[[*columns, "questions", "samples", "runs", "slip"]]


def _part(store: Store, name: str, source: Any) -> pd.DataFrame:
    table = store.targets(source.file)
    if "table" in table:
        table = table[(table["table"] == name) & (table["model"] == store.study.model_name)]
        table = table.rename(columns={"value": "printed"}).assign(step=NAN)
    elif source.file == "figure2":
        found = [_PANELS[panel] for panel in table["panel"]]
        table = table.rename(columns={"value": "printed"}).assign(
            benchmark=[benchmark for benchmark, _ in found],
            metric=[metric for _, metric in found],
            k=[32.0 if benchmark != TRAINING else NAN for benchmark, _ in found],
        )
    elif source.file == "figure3":
        table = table.rename(columns={"value": "printed"}).assign(step=NAN)
    else:
        table = table.rename(columns={"pass_percent": "printed"}).assign(metric="pass", step=NAN)
    table = table.rename(columns={"se": "printed_se"})
    slip = table["slip"].astype(object).fillna("") if "slip" in table else ""
    return table.assign(source=name, title=source.title, page=source.page, slip=slip)
