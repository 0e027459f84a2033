"""The numbers of the results tables: one record per line and benchmark, with everything that is needed to judge it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.statistics import NAN
from tokencredit.statistics.estimators import avg_at_k, pass_at_k
from tokencredit.study.selection import base_row, paired, table3_rows

MEAN = "mean"
LEVEL = 0.05
RESOLVED, CHECKPOINTS, NOT_RESOLVED = "resolved", "resolved for these checkpoints", "not resolved"


def results(store: Store, rows: list[Row], references: dict[str, str], targets: str | None) -> pd.DataFrame:
    """One record per line (all seeds of a method together) and benchmark, and one for the mean over benchmarks, before those that are
    ``beside`` the others. All values in percent.

    Intervals are over questions, 95 %. ``difference…``: paired, on the same questions, against the line that ``references`` names for
    the line; none where one of the two is invalid. ``p_holm`` is adjusted over all lines compared, one family per column of the table
    (a benchmark's Avg@k, or the mean). ``runs_…``: the same difference over questions *and* training runs (``two_level_difference``,
    ``runs_pairs`` of them as pairs), with what it could have found and what it would take, at the level of Holm's first step; ``outcome``:
    its Holm-adjusted test at 0.05 in words. ``over_base``: points above the model that training starts from. ``targets``: the table of the
    paper whose printed numbers are put beside.
    """
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(row.name, []).append(row)
    columns = [*store.study.averaged, MEAN, *store.study.beside]
    scored = {name: lines_of(store, seeds, names=store.study.benchmarks) for name, seeds in lines.items()}
    level = LEVEL / max(1, sum(references[name] != name for name in lines))  # Holm's first step
    records = [
        _record(store, lines[name], column, scored[name], scored[other], lines[other][0].method, targets, level)
        | {"reference": other}
        for name, other in ((name, references[name]) for name in lines)
        for column in columns
    ]
    table = pd.DataFrame(records)
    unsound = set(table.loc[table["invalid"] != "", "method"])
    differences = [column for column in table if column.startswith(("difference", "runs_"))] + ["p"]
    table.loc[table["method"].isin(unsound) | table["reference"].isin(unsound), differences] = NAN
    for p in ("p", "runs_p"):
        table[f"{p}_holm"] = NAN
        for _, family in table[table[p].notna()].groupby("benchmark"):
            table.loc[family.index, f"{p}_holm"] = statistics.holm(family[p])
    table["outcome"] = [_outcome(record) for record in table.to_dict("records")]
    base = base_row(store.study)
    table["over_base"] = NAN
    if base is not None and base.name in lines:
        of_base = table[table["method"] == base.name].set_index("benchmark")["avg"]
        table["over_base"] = (table["avg"] - table["benchmark"].map(of_base)).where(table["trained"])
    return table


def lines_of(
    store: Store, seeds: list[Row], k: int | None = None, names: Iterable[str] | None = None
) -> dict[str, statistics.Line]:
    """Avg@n, or with ``k`` the unbiased Pass@k, of every seed and question, by benchmark, questions in the data set's order.

    ``names``: of which benchmarks; those of the mean without it.

    What sampling adds to Pass@k stays in the spread over seeds and questions: nothing is known of it where k is n. A benchmark of which
    fewer than k responses were taken has no Pass@k and is not there.
    """
    lines = {}
    for name in store.study.averaged if names is None else names:
        benchmark = store.study.benchmarks[name]
        if k is not None and k > benchmark.samples:
            continue
        parts = [store.questions(row, name) for row in seeds]
        scores = [
            avg_at_k(part["n"], part["right"]) if k is None else pass_at_k(part["n"], part["right"], k)
            for part in parts
        ]
        samples = benchmark.samples if k is None else 1
        lines[name] = statistics.Line(np.array(scores), samples, seeds[0].method is not None)
    return lines


def _outcome(record: dict[str, Any]) -> str:
    """Whether a difference is resolved over questions and training runs; with one seed it can be so for these checkpoints alone."""
    if np.isnan(record["runs_p_holm"]):
        return ""
    if record["runs_p_holm"] >= LEVEL:
        return NOT_RESOLVED
    return CHECKPOINTS if record["runs_seeds"] == 0 else RESOLVED


def _record(
    store: Store,
    seeds: list[Row],
    benchmark: str,
    lines: dict[str, statistics.Line],
    other: dict[str, statistics.Line],
    against: str | None,
    targets: str | None,
    level: float,
) -> dict[str, Any]:
    row = seeds[0]
    with_itself = lines is other
    if benchmark == MEAN:
        lines, other = ({name: side[name] for name in store.study.averaged} for side in (lines, other))
    averages, reference = ({name: line.shares for name, line in side.items()} for side in (lines, other))
    invalid = store.invalid(row.method) if row.method else ""
    origin = _origin(store, seeds, benchmark)
    start = {"method": row.name, "title": row.title, "benchmark": benchmark, "trained": row.method is not None}
    measured = _mean(store, averages) if benchmark == MEAN else _benchmark(store, seeds, benchmark, averages, targets)
    compared: dict[str, float] = {}
    if not with_itself:
        pairs = paired(store.study, row.method, against)
        compared = _difference(averages, reference, benchmark) | _over_runs(lines, other, benchmark, level, pairs)
    printed = {f"printed_{metric}": _printed(store, targets, row.name, benchmark, metric) for metric in ("avg", "pass")}
    method = store.study.methods.get(row.method or "")
    return {
        **start,
        "seeds": " ".join(str(seed.seed) for seed in seeds) if row.method else "",
        **measured,
        **{f"difference{key}": NAN for key in ("", "_low", "_high", "_detectable", "_seed_spread")},
        "p": NAN,
        **{
            f"runs_{key}": NAN
            for key in ("low", "high", "p", "detectable", "samples_needed", "seeds_needed", "seeds", "pairs")
        },
        **compared,
        **printed,
        "overlapping": _overlapping(store, row, benchmark),
        "reconstruction": method is not None and method.reconstruction,
        "invalid": invalid,
        **origin,
    }


def _overlapping(store: Store, row: Row, benchmark: str) -> int:
    """How many of the questions behind a result of a trained method are in its training data."""
    if not row.method:
        return 0
    if benchmark == MEAN:
        return sum(_overlapping(store, row, name) for name in store.study.averaged)
    found = {pair["benchmark_id"] for report in store.overlaps[benchmark] for pair in report["pairs"]}
    return int(store.questions(row, benchmark)["problem_id"].isin(found).sum())


def _benchmark(
    store: Store, seeds: list[Row], benchmark: str, averages: dict[str, np.ndarray], targets: str | None
) -> dict[str, Any]:
    parts = [store.questions(row, benchmark) for row in seeds]
    samples = int(parts[0]["n"].iloc[0])
    k = _pass_k(store, benchmark, samples, targets)
    average = averages[benchmark]
    passed = np.array([pass_at_k(part["n"], part["right"], k) for part in parts])
    low, high = statistics.mean_interval(average.mean(0))
    pass_low, pass_high = statistics.mean_interval(passed.mean(0))
    every = pd.concat(parts)
    responses = every["n"].sum()
    return {
        "questions": average.shape[1],
        "samples": samples,
        "avg": 100 * average.mean(),
        "avg_low": 100 * low,
        "avg_high": 100 * high,
        "question_se": 100 * statistics.question_se(average.mean(0)),
        "sampling_se": 100
        * np.sqrt(np.mean([statistics.sampling_se(part["n"], part["right"]) ** 2 for part in parts])),
        "seed_spread": 100 * statistics.seed_spread(average.mean(1)),
        "pass_k": k,
        "pass": 100 * passed.mean(),
        "pass_low": 100 * pass_low,
        "pass_high": 100 * pass_high,
        "majority": 100 * every["majority"].mean(),
        "ungraded": 100 * every["ungraded"].sum() / responses,
        "truncated": 100 * every["truncated"].sum() / responses,
        "tokens": every["tokens"].mean(),
    }


def _mean(store: Store, averages: dict[str, np.ndarray]) -> dict[str, Any]:
    """The unweighted mean over benchmarks. Standard errors add up in squares, because benchmarks share no question."""
    count = len(averages)
    value = np.mean([average.mean() for average in averages.values()])
    low, high = statistics.interval_of_mean([average.mean(0) for average in averages.values()])
    error = np.sqrt(np.sum([statistics.question_se(average.mean(0)) ** 2 for average in averages.values()])) / count
    by_seed = np.mean([average.mean(1) for average in averages.values()], axis=0)
    return {
        "questions": sum(average.shape[1] for average in averages.values()),
        "samples": NAN,
        "avg": 100 * value,
        "avg_low": 100 * low,
        "avg_high": 100 * high,
        "question_se": 100 * error,
        "seed_spread": 100 * statistics.seed_spread(by_seed),
    }


def _difference(own: dict[str, np.ndarray], other: dict[str, np.ndarray], benchmark: str) -> dict[str, float]:
    names = list(own) if benchmark == MEAN else [benchmark]
    # Each question weighs so that the sum of differences is the difference of the column: 1/(benchmarks x questions of its benchmark).
    scores, reference = (
        np.concatenate([of[name].mean(0) / (len(names) * of[name].shape[1]) for name in names]) for of in (own, other)
    )
    # The standard error of these weighted values also holds the benchmarks' different means: it errs on the wide side.
    scale = len(scores)
    found = statistics.paired_difference(scores * scale, reference * scale)
    if own[names[0]].shape[0] == other[names[0]].shape[0]:
        by_seed = np.mean([own[name].mean(1) - other[name].mean(1) for name in names], axis=0)
        spread = statistics.seed_spread(by_seed)
    else:
        spread = NAN
    return {
        "difference": 100 * found.mean,
        "difference_low": 100 * found.low,
        "difference_high": 100 * found.high,
        "difference_detectable": 100 * found.detectable,
        "difference_seed_spread": 100 * spread,
        "p": found.p,
    }


def _over_runs(
    own: dict[str, statistics.Line], reference: dict[str, statistics.Line], benchmark: str, level: float, pairs: bool
) -> dict[str, float]:
    """The difference of two methods, not of two sets of checkpoints: over training runs too, as ``pairs`` where they share their luck.

    What resolving it takes is at ``level``.
    """
    names = list(own) if benchmark == MEAN else [benchmark]
    sides = [[side[name] for name in names] for side in (own, reference)]
    found = statistics.two_level_difference(*sides, paired=pairs)
    samples = sides[0][0].samples if len({line.samples for line in sides[0]}) == 1 else NAN
    return {
        "runs_low": 100 * found.low,
        "runs_high": 100 * found.high,
        "runs_p": found.p,
        "runs_detectable": 100 * found.detectable(level=level),
        "runs_samples_needed": np.ceil(samples * found.samples_needed(level=level)),
        "runs_seeds_needed": found.seeds_needed(level=level),
        "runs_seeds": 0 if found.seeds is None else min((each.seeds for each in found.seeds), default=1),
        "runs_pairs": len(sides[0][0].shares) if pairs else 0,
    }


def _pass_k(store: Store, benchmark: str, samples: int, targets: str | None) -> int:
    """The k of Pass@k: the paper's where it prints one that n allows, else n."""
    printed = _targets(store, targets, benchmark, "pass")
    return min(int(printed["k"].iloc[0]), samples) if len(printed) else samples


def _printed(store: Store, targets: str | None, method: str, benchmark: str, metric: str) -> float:
    printed = _targets(store, targets, benchmark, metric)
    values = printed.loc[printed["method"] == method, "value"]
    return float(values.iloc[0]) if len(values) else NAN


def _targets(store: Store, table: str | None, benchmark: str, metric: str) -> pd.DataFrame:
    """The paper's printed numbers of one benchmark and metric for the study's model; empty where ``table`` is None."""
    printed = store.targets("tables")
    return printed[
        (printed["table"] == table)
        & (printed["model"] == store.study.model_name)
        & (printed["benchmark"] == benchmark)
        & (printed["metric"] == metric)
    ]


def _origin(store: Store, seeds: list[Row], benchmark: str) -> dict[str, Any]:
    """Sampling, grader and digests of the record: what makes two numbers comparable."""
    metadata = [store.scores_metadata(row) for row in seeds]
    names = list(store.study.averaged) if benchmark == MEAN else [benchmark]
    entries = [entry["benchmarks"][name] for entry in metadata for name in names]
    sampling = store.study.evaluation.sampling
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_response_tokens": sampling.max_response_tokens,
        "grader": _joined(entry["grader"] for entry in entries),
        "engine": _joined(entry["engine"] for entry in entries),
        "data_sha256": _joined(entry["data_sha256"][:12] for entry in entries),
        "model_sha256": _joined(entry["model_sha256"][:12] for entry in entries),
        "code_digest": _joined(entry["code_digest"][:12] for entry in entries),
    }


def _joined(values: Any) -> str:
    return " ".join(dict.fromkeys(str(value) for value in values))


@cache  # one store lives as long as its process
def table1(store: Store) -> pd.DataFrame:
    """Tables 1 and 2: all lines on all benchmarks, compared with the study's reference method."""
    tables = store.targets("tables")
    printed = tables[(tables["model"] == store.study.model_name) & tables["table"].isin(["table1", "table2"])]
    references = {row.name: store.study.reference for row in store.study.rows}
    return results(store, store.study.rows, references, printed["table"].iloc[0] if len(printed) else None)


def table3(store: Store) -> pd.DataFrame:
    """Table 3 and the quadrant runs: what EAPO's parts and the quadrants contribute.

    EAPO's variants are compared with EAPO where the study trains it, as in the paper; everything else with the reference method.
    """
    rows = table3_rows(store.study)
    full = "eapo" if "eapo" in store.study.methods else store.study.reference
    references = {row.name: full if row.name.startswith("eapo-") else store.study.reference for row in rows}
    return results(store, rows, references, "table3")
