"""Printed against obtained: one line for every number of the paper that the study is to reproduce, with a verdict and its basis.

The questions are the same here and in the paper, so they add no error to a difference. Three things do: sampling here (from the
responses), sampling in the paper (``printed.implied_se``), and training seeds. The variance between runs, with the sampling noise in it,
is estimated from the study's runs, is assumed for the paper too, and counts once for each of the paper's runs and of ours. A method with
one seed gives no variance: not measured.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis.layout import Cell, Wide, WideLine, marked
from tokencredit.analysis.paper import printed
from tokencredit.analysis.paper.obtained import ONE_SEED, Measured, NotMeasuredError, measure
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.statistics import NAN
from tokencredit.statistics.two_level import MOST_SEEDS

VERDICTS = ("reproduced", "consistent", "higher", "lower", "not measured", "invalid")
COLUMNS = (
    *("source", "title", "page", "method", "row_title", "benchmark", "metric", "k", "step"),
    *("printed", "printed_se", "questions", "samples", "runs", "slip"),
    *("obtained", "question_se", "sampling_se", "seed_spread", "samples_here", "seeds"),
    *("difference", "difference_low", "difference_high", "error", "tolerance", "verdict", "reason"),
    *("samples_needed", "seeds_needed", "train_seconds", "train_gpu_hours", "evaluate_seconds", "files"),
)
TOO_UNSURE = "the printed number's own error is wider than the tolerance"


def records(store: Store) -> pd.DataFrame:
    """One line per printed number; none is left out. Percent and points, but for entropy (nats) and tokens.

    obtained with question_se, sampling_se (of the mean over seeds) and seed_spread (one run's, sampling noise in it); difference to the
    printed number with its interval at the configuration's confidence; ``error``: what the interval holds; verdict and reason;
    ``samples_needed``, ``seeds_needed``: responses per question or training seeds that would decide a ``consistent`` line, all else as
    it is (infinite: none would); cost of the line's method; the files, below the study's folder, that it rests on.
    """
    costs = {row.name: _training_cost(store, row) for row in store.study.rows}
    titles = {row.name: row.title for row in store.study.rows}
    lines = []
    for _, target in printed.printed(store).iterrows():
        name = target["method"]
        line = target.to_dict() | {"row_title": titles.get(name, name), **_judged(store, target)}
        lines.append(line | costs.get(name, _NO_COST) | _evaluation_cost(store, target))
    return pd.DataFrame(lines)[list(COLUMNS)]


def verdict(low: float, high: float, tolerance: float) -> str:
    """The verdict on a difference whose interval is [low, high].

    *reproduced*: the interval lies within ± tolerance. Else *higher* or *lower* where it leaves out zero, and *consistent* where it does
    not: no difference is seen, and the interval is too wide to rule out one that matters.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"a verdict needs an interval of numbers; got [{low}, {high}].")
    if -tolerance <= low and high <= tolerance:
        return "reproduced"
    return "higher" if low > 0 else "lower" if high < 0 else "consistent"


def half_width(
    runs: int, noise: float, spread: float, printed_se: float, printed_runs: float, confidence: float
) -> float:
    """Half the interval of (mean of ``runs`` runs) - (printed mean of ``printed_runs`` runs), on the same questions.

    spread: variance of training runs, their sampling noise in it, with runs - 1 degrees of freedom (NaN: the model is not trained);
    noise: sampling error of a model that is not trained; printed_se: sampling error of the printed number, all joined by
    ``statistics.margin_of``. Sampling noise is not taken off ``spread``: simulated, a nominal 90 % then covers as little as 83 % with two
    runs, and less where the noise is only known to be at most so large; as it is, 90 to 98 %, more the more of it is noise.
    """
    own = (noise**2, math.inf) if math.isnan(spread) else (spread * (1 / runs + 1 / printed_runs), runs - 1)
    parts = [own, (printed_se**2, math.inf)]
    return statistics.margin_of(parts, (1 - confidence) / 2)


def _judged(store: Store, target: pd.Series) -> dict[str, Any]:
    tolerance = _tolerance(store, target)
    empty = dict.fromkeys(_NUMBERS, NAN) | {"tolerance": tolerance, "seeds": "", "error": "", "files": ""}
    try:
        found = measure(store, target)
    except NotMeasuredError as reason:
        return empty | {"verdict": "not measured", "reason": str(reason)}
    seeds = store.study.training.seeds if found.trained else []
    line = empty | {
        "samples_here": found.samples or NAN,
        "seeds": " ".join(map(str, seeds)),
        "obtained": found.value,
        "question_se": found.question_se,
        "sampling_se": found.noise / math.sqrt(len(found.runs)),
        "seed_spread": statistics.seed_spread(found.runs),
        "difference": found.value - target["printed"],
        "files": " ".join(found.files),
    }
    if reason := _invalid(store, target, found):
        return line | {"verdict": "invalid", "reason": reason}
    if found.trained and len(found.runs) < 2:
        return line | {"verdict": "not measured", "reason": ONE_SEED}
    if not found.trained and math.isnan(found.noise):
        return line | {"verdict": "not measured", "reason": "one response per question tells nothing of its error"}
    return line | _compared(target, found, tolerance, store.study.config.targets.confidence)


def _compared(target: pd.Series, found: Measured, tolerance: float, confidence: float) -> dict[str, Any]:
    noise = 0.0 if math.isnan(found.noise) else found.noise
    printed_se = 0.0 if math.isnan(target["printed_se"]) else target["printed_se"]
    count = len(found.runs)
    spread = statistics.seed_spread(found.runs) ** 2 if found.trained else NAN
    difference = found.value - target["printed"]
    margin = half_width(count, noise, spread, printed_se, target["runs"], confidence)
    low, high = difference - margin, difference + margin
    line = {
        "difference_low": low,
        "difference_high": high,
        "error": ", ".join(
            name
            for name, held in (
                ("sampling", noise > 0),
                ("training seeds", not math.isnan(spread)),
                ("printed number", printed_se > 0),
            )
            if held
        ),
        "verdict": verdict(low, high, tolerance),
        "reason": "",
    }
    if line["verdict"] != "consistent":
        return line
    if _too_unsure(printed_se, tolerance, confidence):
        line["reason"] = TOO_UNSURE
    # Decided either way, if the difference stays: within the tolerance, or apart from zero.
    enough = max(abs(difference), tolerance - abs(difference))
    sampled = noise**2 if math.isnan(spread) else min(noise**2, spread)
    rest = half_width(count, 0.0, spread - sampled, printed_se, target["runs"], confidence)
    room = enough**2 - rest**2
    if found.samples and noise:
        times = (margin**2 - rest**2) / room if room > 0 else math.inf
        line["samples_needed"] = math.ceil(found.samples * times) if math.isfinite(times) else math.inf
    if not math.isnan(spread):
        widths = (
            (n, half_width(n, noise, spread, printed_se, target["runs"], confidence)) for n in range(2, MOST_SEEDS + 1)
        )
        line["seeds_needed"] = next((n for n, width in widths if width <= enough), math.inf)
    return line


def _too_unsure(printed_se: float, tolerance: float, confidence: float) -> bool:
    """Whether no result, however exact, could be called reproduced."""
    return statistics.margin_of([(printed_se**2, math.inf)], (1 - confidence) / 2) > tolerance


def _invalid(store: Store, target: pd.Series, found: Measured) -> str:
    if target["slip"]:
        return f"as printed it contradicts itself: {target['slip']}"
    return store.invalid(target["method"]) if found.trained else ""


def _tolerance(store: Store, target: pd.Series) -> float:
    declared = store.study.config.targets.tolerances
    if target["metric"] == "tokens":
        return declared.tokens / 100 * target["printed"]
    if target["benchmark"] == printed.MEAN:
        return declared.mean
    return getattr(declared, {"pass": "pass_at_k"}.get(target["metric"], target["metric"]))


# ---------------------------------------------------------------- cost

_NUMBERS = ("samples_here", "obtained", "question_se", "sampling_se", "seed_spread", "difference", "difference_low")
_NUMBERS += ("difference_high", "samples_needed", "seeds_needed")
_NO_COST = {"train_seconds": NAN, "train_gpu_hours": NAN}


def _training_cost(store: Store, row: Row) -> dict[str, float]:
    """Seconds and GPU-hours of the steps of all training runs of a row's method: all its cells rest on them. NaN where not kept."""
    seeds = store.study.training.seeds
    if row.method is None or not all(store.present(store.run_folder(row.name, seed).record) for seed in seeds):
        return _NO_COST
    runs = [store.run(row.name, seed) for seed in seeds]
    seconds = [store.seconds_of_steps(row.name, seed) for seed in seeds]
    if None in seconds:
        return _NO_COST
    gpus = [_gpus(run["environment"], run.get("processes", 1)) for run in runs]
    return {"train_seconds": sum(seconds), "train_gpu_hours": sum(np.multiply(seconds, gpus)) / 3600}


def _evaluation_cost(store: Store, target: pd.Series) -> dict[str, float]:
    """Seconds of generating the responses behind a line, from the logs of its jobs; NaN where these are not kept."""
    study = store.study
    rows = [row for row in study.rows if row.name == target["method"]]
    names = list(study.averaged) if target["benchmark"] == printed.MEAN else [target["benchmark"]]
    if not math.isnan(target["step"]) or not rows or not set(names) <= study.benchmarks.keys():
        return {"evaluate_seconds": NAN}
    seconds = [store.seconds_of_job(store.paths.usage("generate", row, name)) for row in rows for name in names]
    return {"evaluate_seconds": NAN if None in seconds else sum(seconds)}


def _gpus(environment: dict[str, str], processes: int) -> int:
    return processes if environment["device"].startswith("cuda") else 0


# ---------------------------------------------------------------- layout


def wide(table: pd.DataFrame, store: Store) -> Wide:
    """One line per printed number, as it is read: what, printed, obtained, difference, verdict."""
    columns = [("Paper", "value ± error"), ("Here", "value"), ("Difference", "interval"), ("Verdict", "")]
    rows = []
    for record in table.to_dict("records"):
        method = store.study.methods.get(record["method"])
        name = marked(record["row_title"], method is not None and method.reconstruction, "")
        error = "" if math.isnan(record["printed_se"]) else f" ± {_number(record, record['printed_se'])}"
        interval = "" if math.isnan(record["difference_low"]) else _interval(record)
        cells = [
            Cell(_number(record, record["printed"]) + error),
            Cell(_number(record, record["obtained"])),
            Cell(_number(record, record["difference"], sign=True), interval),
            Cell(record["verdict"], notes=tuple(filter(None, [record["reason"], _needed(record)]))),
        ]
        rows.append(WideLine(f"{record['title']}: {name}, {_quantity(record, store)}", cells, record["method"]))
    counts = table["verdict"].value_counts()
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)
    confidence = store.study.config.targets.confidence
    errors = table["printed_se"].fillna(0.0)
    unsure = sum(_too_unsure(*pair, confidence) for pair in zip(errors, table["tolerance"], strict=True))
    notes = [
        f"{len(table)} printed numbers: {said}.",
        f"{unsure} of them no result could reproduce: {TOO_UNSURE}." if unsure else "",
        f"Differences in points (entropy: nats; lengths: tokens) with {100 * confidence:g} % intervals, which hold sampling here and in "
        "the paper and, of trained methods, training seeds; the questions are the same.",
        "reproduced: the interval lies within the declared tolerance; consistent: no difference seen, and the interval is wider.",
        "The CSV file holds every source of error, tolerances, cost, and the files that each line rests on.",
    ]
    return Wide(columns, rows, notes, long=True)


def _quantity(record: dict[str, Any], store: Store) -> str:
    benchmark, metric = record["benchmark"], record["metric"]
    known = store.study.config.benchmarks
    place = known[benchmark].title if benchmark in known else benchmark
    step = "" if math.isnan(record["step"]) else f", step {record['step']:.0f}"
    k = "" if math.isnan(record["k"]) else f"@{record['k']:.0f}"
    return f"{place} {metric.replace('_', ' ')}{k}{step}"


def _interval(record: dict[str, Any]) -> str:
    ends = (_number(record, record[f"difference_{end}"], sign=True) for end in ("low", "high"))
    return f"[{', '.join(ends)}]"


def _needed(record: dict[str, Any]) -> str:
    if record["verdict"] != "consistent":
        return ""
    ways = [("k", record["samples_needed"]), ("seeds", record["seeds_needed"])]
    enough = [f"{name} = {count:.0f}" for name, count in ways if math.isfinite(count)]
    if enough:
        return f"decided with {' or '.join(enough)}"
    return "" if all(math.isnan(count) for _, count in ways) else "no k or seeds would decide it"


def _number(record: dict[str, Any], value: float, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    digits = {"entropy": 3, "tokens": 0}.get(record["metric"], 1)
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")
