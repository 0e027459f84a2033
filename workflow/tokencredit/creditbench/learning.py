"""What training with a method was worth and what it took, from the records of studies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis import passes, speed
from tokencredit.analysis.credit.learning import controls
from tokencredit.analysis.scores import lines_of
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.study.selection import paired

OWN, CONTROL, BASELINE, POSITIVE = "own", "control", "baseline", "positive control"
SCORE, PASS = "score", "pass_at_"
COSTS = ("sampled_tokens", "trained_tokens", "measured_tokens", "hours")
LENGTH = "response_tokens"


def records(store: Store, positive_controls: Iterable[str]) -> pd.DataFrame:
    """One record per sound method of a study, metric and role.

    role ``own``: ``score`` (mean Avg@n over benchmarks, percent; n questions), ``pass_at_K`` (likewise, at the largest declared k that the
    base model leaves open), ``speed`` and ``area`` (``analysis.speed``, percent; n training seeds); per run the tokens that were sampled
    to be trained on or dropped, trained on, and sampled to measure credit, the hours of its steps on one process, and the mean length of
    a response of the last step. The other roles: less the method ``against``, in points, with p (not adjusted), runs of one seed as pairs
    where the two share their luck; ``control``: the same weights elsewhere; ``baseline``: the same recipe with equal weights;
    ``positive control``: a method whose credit is measured.
    """
    study = store.study
    sound = [name for name in study.methods if not store.invalid(name)]
    k = passes.telling_k(store, list(study.averaged))
    metrics = [SCORE, *([f"{PASS}{k}"] if k else []), *speed.MEASURES]
    lines = []
    for name in sound:
        known = {"study": study.name, "method": name}
        lines += [known | {"role": OWN, "metric": metric} | _own(store, metric, name) for metric in metrics]
        lines += [
            known | {"role": OWN, "metric": metric} | _over_seeds(runs) for metric, runs in _costs(store, name).items()
        ]
        for role, other in _others(study, name, positive_controls):
            if other in sound:
                against = known | {"role": role, "against": other}
                lines += [against | {"metric": metric} | _less(store, metric, name, other) for metric in metrics]
    columns = ["study", "method", "role", "against", "metric", "value", "low", "high", "p", "n"]
    return pd.DataFrame(lines).reindex(columns=columns)


def baseline(study: Study, method: str) -> str | None:
    """The study's method of the same recipe with equal weights; None for such a method itself, and where there is none."""
    own = study.methods[method]
    plain = [
        name
        for name, other in study.methods.items()
        if other.recipe == own.recipe and other.credit in ("grpo", "dapo") and other.control is None
    ]
    return None if method in plain else next(iter(plain), None)


def _others(study: Study, method: str, positive_controls: Iterable[str]) -> list[tuple[str, str]]:
    found = [(CONTROL, control) for control, of in controls(study).items() if of == method]
    if other := baseline(study, method):
        found.append((BASELINE, other))
    measured = [name for name in positive_controls if name in study.methods]
    return found + ([] if method in measured else [(POSITIVE, name) for name in measured])


def _own(store: Store, metric: str, method: str) -> dict[str, float]:
    if metric in speed.MEASURES:
        return _over_seeds(100 * speed.MEASURES[metric](store, method))
    shares = [line.shares for line in _scored(store, metric, method)]
    low, high = statistics.interval_of_mean([share.mean(0) for share in shares])
    value = np.mean([share.mean() for share in shares])
    return {"value": 100 * value, "low": 100 * low, "high": 100 * high, "n": sum(share.shape[1] for share in shares)}


def _less(store: Store, metric: str, method: str, other: str) -> dict[str, float]:
    if metric in speed.MEASURES:
        found, n = speed.difference(store, metric, method, other), len(store.study.training.seeds)
    else:
        sides = [_scored(store, metric, name) for name in (method, other)]
        found = statistics.two_level_difference(*sides, paired=paired(store.study, method, other))
        n = sum(line.shares.shape[1] for line in sides[0])
    points = {"value": 100 * found.mean, "low": 100 * found.low, "high": 100 * found.high}
    # One training seed says nothing of other runs.
    return points | {"p": found.p if found.seeds is not None else 1.0, "n": n}


def _scored(store: Store, metric: str, method: str) -> list[statistics.Line]:
    rows = [row for row in store.study.rows if row.method == method]
    return list(lines_of(store, rows, int(metric.removeprefix(PASS)) if metric.startswith(PASS) else None).values())


def _costs(store: Store, method: str) -> dict[str, np.ndarray]:
    """By metric one number per run, [S]."""
    study = store.study
    steps = store.metrics(method, ["groups_sampled", "response_tokens", "tokens"])
    sampled = steps["groups_sampled"] * study.training.group_size * steps["response_tokens"]
    sampled = steps.get("sampled_tokens", sampled)  # counted, where responses restart
    measured = steps.get("measured_tokens", pd.Series(0.0, steps.index)).fillna(0)
    per_run = pd.DataFrame({"sampled_tokens": sampled, "trained_tokens": steps["tokens"], "measured_tokens": measured})
    sums = per_run.groupby(steps["seed"]).sum()
    seconds = [store.seconds_of_steps(method, seed) for seed in study.training.seeds]
    last = steps[steps["step"] == study.training.steps].groupby("seed")["response_tokens"].mean()
    found = {name: sums[name].to_numpy(float) for name in sums}
    if None not in seconds:
        found["hours"] = np.array(seconds, float) / 3600
    return found | {LENGTH: last.to_numpy(float)}


def _over_seeds(runs: np.ndarray) -> dict[str, float]:
    """The mean over training runs with its interval."""
    found = statistics.run_difference(runs)
    return {"value": found.mean, "low": found.low, "high": found.high, "n": len(runs)}
