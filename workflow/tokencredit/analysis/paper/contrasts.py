"""The effect that a study measured for a contrast of a claim or an experiment, with its error, from the stored records."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis import speed
from tokencredit.analysis.credit import states
from tokencredit.analysis.paper.effect import SCALE, Effect
from tokencredit.analysis.paper.obtained import SMOOTHED, NotMeasuredError, curve_right, present
from tokencredit.analysis.paper.printed_effects import printed_effects
from tokencredit.analysis.passes import telling_k
from tokencredit.analysis.scores import lines_of
from tokencredit.analysis.store import Store
from tokencredit.config import (
    Benchmark,
    Contrast,
    CreditContrast,
    EntropyContrast,
    Row,
    ScoreContrast,
    SpeedContrast,
    StepsContrast,
)
from tokencredit.config.claim_keys import BASE, START
from tokencredit.statistics import NAN
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import RunFolder
from tokencredit.study.selection import base_row, paired

NOT_TRAINED = "the study does not train "


def pairs(contrasts: list[Contrast]) -> list[tuple[Contrast, str]]:
    """Every single contrast: one for each method that another is compared with, or for each measured policy."""
    return [
        (contrast, other)
        for contrast in contrasts
        for other in (contrast.policies if isinstance(contrast, CreditContrast) else contrast.against)
    ]


def measure(store: Store, contrast: Contrast, other: str, confidence: float) -> Effect:
    """The effect of a contrast with one ``other``. Raises ``NotMeasuredError`` where the study has none that can be compared."""
    effect = _effect(store, contrast, other, confidence)
    margin = getattr(contrast, "margin", None) or 0.0
    return replace(effect, direction=getattr(contrast, "direction", "higher"), margin=margin / SCALE["points"])


def _effect(store: Store, contrast: Contrast, other: str, confidence: float) -> Effect:
    if isinstance(contrast, CreditContrast):
        return _credit(store, contrast, other, confidence)
    if isinstance(contrast, SpeedContrast):
        return _speed(store, contrast, other, confidence)
    if isinstance(contrast, ScoreContrast):
        return _score(store, contrast, other, confidence)
    if isinstance(contrast, EntropyContrast):
        return _entropy(store, contrast, other, confidence)
    return _steps(store, contrast, other, confidence)


def in_words(store: Store, contrast: Contrast, other: str) -> str:
    """The contrast in words."""
    titles = {name: method.title for name, method in store.study.config.methods.items()} | {BASE: "the base model"}
    if isinstance(contrast, CreditContrast):
        where = f"{titles[other]}{'' if other == BASE else ' at its last step'}"
        return f"credit where entropy is below its mean less than {contrast.ratio:g} × that where it is above: means, {where}"
    title, against = titles[contrast.method], titles.get(other, "")
    if isinstance(contrast, StepsContrast):
        return f"{title} after {100 * contrast.part:.0f} % of the steps above {against} after all: Avg@n on the curve"
    word = {
        "higher": "above",
        "lower": "below",
        "equal": f"within {getattr(contrast, 'margin', None) or 0:g} points of",
    }[contrast.direction]
    if isinstance(contrast, ScoreContrast):
        return f"{title} {word} {against}: {_score_in_words(store, contrast)}"
    if isinstance(contrast, SpeedContrast):
        steps = store.study.speed_steps
        of_steps = f"solve rate of steps {steps[0]} to {steps[-1]}"
        return f"{title} {word} {against}: {of_steps if contrast.measure == speed.SPEED else 'area under Avg@n on the curve'}"
    times = "" if contrast.ratio == 1 else f"{contrast.ratio:g} × "
    of_probe = ", of fixed tokens of the base model" if contrast.tokens == "probe" else ""
    if other == START:
        return f"{title} {word} {times}its start: entropy at the end{of_probe}"
    return f"{title} {word} {times}{against}: entropy at the end{of_probe or ', of the groups that each trains on'}"


# ---------------------------------------------------------------- final scores


def _score(store: Store, contrast: ScoreContrast, other: str, confidence: float) -> Effect:
    """The difference of the comparison tables (``results``), on the mean over the benchmarks that are taken."""
    chosen = _benchmarks(store, contrast)
    if not chosen:
        raise NotMeasuredError(f"the study takes {contrast.samples_at_least} responses to a question on no benchmark")
    rows = [_rows(store, name) for name in (contrast.method, other)]
    files = _sound(store, rows, [store.paths.evaluation(row).scores for side in rows for row in side])
    k = None
    if contrast.metric == "pass":
        k, of_base = _telling_k(store, list(chosen))
        files = list(dict.fromkeys([*files, *of_base]))
    scored = [lines_of(store, side, k) for side in rows]
    own, reference = ([lines[name] for name in chosen] for lines in scored)
    samples = {benchmark.samples for benchmark in chosen.values()}
    return Effect(
        tested=statistics.two_level_difference(own, reference, confidence, paired=_paired(store, contrast, other)),
        unit="points",
        test="t over questions and training seeds",
        seeds=store.study.training.seeds,
        files=files,
        questions=sum(line.shares.shape[1] for line in own),
        samples=samples.pop() if len(samples) == 1 else NAN,
        k=NAN if k is None else k,
        printed=printed_effects(store, contrast, other, NAN if k is None else k),
    )


def _benchmarks(store: Store, contrast: ScoreContrast) -> dict[str, Benchmark]:
    """Benchmarks with responses enough."""
    return {
        name: benchmark
        for name, benchmark in store.study.averaged.items()
        if benchmark.samples >= contrast.samples_at_least
    }


def _telling_k(store: Store, benchmarks: list[str]) -> tuple[int, list[str]]:
    """The k that a claim about Pass@k is decided at, and the files that tell it."""
    base, declared = _rows(store, BASE), store.study.analysis
    files = present(store, [store.paths.evaluation(row).scores for row in base])
    k = telling_k(store, benchmarks)
    if k is None:
        raise NotMeasuredError(
            f"the base model solves {100 * declared.pass_below:g} % or more at each k of {', '.join(map(str, declared.pass_k))} that the "
            "responses allow"
        )
    return k, files


def _score_in_words(store: Store, contrast: ScoreContrast) -> str:
    chosen = _benchmarks(store, contrast)
    named = "mean Avg@n" if contrast.metric == "avg" else "mean Pass@k"
    all_taken = len(chosen) in (0, len(store.study.averaged))
    return named if all_taken else f"{named} of {', '.join(benchmark.title for benchmark in chosen.values())}"


# ---------------------------------------------------------------- speed of training


def _speed(store: Store, contrast: SpeedContrast, other: str, confidence: float) -> Effect:
    rows = [_rows(store, name) for name in (contrast.method, other)]
    of_measure = {speed.SPEED: RunFolder.metrics, speed.AREA: RunFolder.evaluations}[contrast.measure]
    files = _sound(store, rows, [store.paths.run(row).folder / of_measure.name for side in rows for row in side])
    return Effect(
        tested=speed.difference(store, contrast.measure, contrast.method, other, confidence),
        unit="points",
        test="t over training seeds",
        seeds=store.study.training.seeds,
        files=files,
    )


# ---------------------------------------------------------------- entropy of training


def _entropy(store: Store, contrast: EntropyContrast, other: str, confidence: float) -> Effect:
    rows = [_rows(store, name) for name in (contrast.method, other) if name != START]
    of_tokens = {"trained": RunFolder.metrics, "probe": RunFolder.probe}[contrast.tokens]
    files = _sound(store, rows, [store.paths.run(row).folder / of_tokens.name for side in rows for row in side])
    log_entropy = _probed if contrast.tokens == "probe" else _log_entropy
    end, border = log_entropy(store, contrast.method, last=True), math.log(contrast.ratio)
    if other == START:
        own, reference = end - log_entropy(store, contrast.method, last=False) - border, None
    else:
        own, reference = end - border, log_entropy(store, other, last=True)
    pairs = reference is not None and _paired(store, contrast, other)
    short = store.study.updates < contrast.updates_at_least
    return Effect(
        tested=statistics.run_difference(own, reference, confidence, paired=pairs),
        unit="ratio",
        test="t over training seeds, of logarithms",
        seeds=store.study.training.seeds,
        files=files,
        border=contrast.ratio,
        untestable=f"at this length: {store.study.updates:,} updates, {contrast.updates_at_least:,} are needed"
        if short
        else "",
    )


def _probed(store: Store, method: str, last: bool) -> np.ndarray:
    """Logarithm of the mean entropy of every seed's fixed tokens before training or after it, [S]."""
    table = store.tokens(RunFolder.probe, method, ["step", "entropy"])
    steps = store.study.training.steps if last else 0
    return np.log(table[table["step"] == steps].groupby("seed")["entropy"].mean().to_numpy())


def _log_entropy(store: Store, method: str, last: bool) -> np.ndarray:
    """Logarithm of the mean entropy over the first or the last steps of every seed, [S]."""
    steps = store.study.training.steps
    if steps < 2 * SMOOTHED:
        raise NotMeasuredError(
            f"training has {steps} steps: its first {SMOOTHED} and its last {SMOOTHED} are not apart"
        )
    table = store.metrics(method, ["entropy"])
    chosen = table[table["step"] > steps - SMOOTHED] if last else table[table["step"] <= SMOOTHED]
    if chosen["entropy"].isna().any():
        end = "last" if last else "first"
        raise NotMeasuredError(
            f"{method} learned nothing in one of its {end} {SMOOTHED} steps: that step has no entropy"
        )
    means = chosen.groupby("seed")["entropy"].mean().to_numpy()
    if (means <= 0).any():
        raise NotMeasuredError(f"the entropy of {method} is zero in a run, of which no ratio can be taken")
    return np.log(means)


# ---------------------------------------------------------------- scores during training


def _steps(store: Store, contrast: StepsContrast, other: str, confidence: float) -> Effect:
    """Avg@n of ``method`` after a part of the steps minus that of ``other`` after all of them.

    Above zero, ``other`` takes more than 1/part of the steps that ``method`` takes to where ``other`` ends. Below zero it may still take
    more steps, only not so many: contradicted is "needs more steps" by the reverse, ``other`` after the part above ``method`` after all.
    """
    rows = [_rows(store, name) for name in (contrast.method, other)]
    files = _sound(store, rows, [store.paths.run(row).evaluations for side in rows for row in side])
    steps = store.study.training.steps
    part = round(contrast.part * steps, 6)
    pairs = _paired(store, contrast, other)
    early, late = _line(store, contrast.method, part), _line(store, other, steps)
    reverse = _line(store, contrast.method, steps), _line(store, other, part)
    return Effect(
        tested=statistics.two_level_difference([early], [late], confidence, paired=pairs),
        contrary=statistics.two_level_difference([reverse[0]], [reverse[1]], confidence, paired=pairs),
        unit="points",
        test="t over questions and training seeds",
        seeds=store.study.training.seeds,
        files=files,
        questions=early.shares.shape[1],
        samples=store.study.training.curve.samples,
        untestable=_no_rise(store, other),
    )


def _no_rise(store: Store, method: str) -> str:
    """Why no number of steps to where ``method`` ends tells anything: it ends no higher than it starts. Empty where it rises."""
    first, last = (100 * _line(store, method, step).shares.mean() for step in (0, store.study.training.steps))
    if last > first:
        return ""
    title = store.study.methods[method].title
    return (
        f"{title} ends at {last:.1f} % and starts at {first:.1f} %: each step is above its end, the untrained model too"
    )


def _line(store: Store, method: str, step: float) -> statistics.Line:
    """Avg@n on the curve at a step; between two that were evaluated on the straight line between them.

    What sampling adds to such a mean of two is not taken off the spread over seeds: it stays on the wide side.
    """
    n, right = store.study.training.curve.samples, curve_right(store, method)
    if step in right:
        return statistics.Line(right[int(step)] / n, n)
    below, above = (
        max((s for s in right if s < step), default=None),
        min((s for s in right if s > step), default=None),
    )
    if below is None or above is None:
        raise NotMeasuredError(
            f"training evaluates every {store.study.training.curve.every} steps, not at step {step:g}"
        )
    weight = (step - below) / (above - below)
    return statistics.Line(((1 - weight) * right[below] + weight * right[above]) / n, samples=1)


# ---------------------------------------------------------------- measured credit of tokens


def _credit(store: Store, contrast: CreditContrast, policy: str, confidence: float) -> Effect:
    """Of a policy's measured states: how far credit, in mean, stays below what the claim allows. Means of problems are compared.

    Training seeds are taken together: of the base model they are other problems, of a trained policy other runs too.
    """
    rows = [row for row in measured_rows(store.study) if row.name == policy]
    if not rows:
        whose = "the base model's tokens" if policy == BASE else f"the tokens of {policy}"
        raise NotMeasuredError(f"the study does not measure the credit of {whose}")
    files = _sound(store, [rows], [path for row in rows for path in store.paths.measurement(row).tables])
    table = pd.concat([states.states(store, row)[0] for row in rows], ignore_index=True)
    high = table["entropy"] >= table["entropy"].mean()
    credit = table.groupby(["problem_id", high.rename("high")])["information"].mean().unstack().dropna()
    below = contrast.ratio * credit[True] - credit[False]
    if len(below) < 2:
        raise NotMeasuredError("credit is measured on one problem, which tells nothing of others")
    return Effect(
        tested=statistics.run_difference(below.to_numpy(), None, confidence),
        unit="nats",
        test="t over problems",
        seeds=[],
        files=files,
        questions=len(below),
    )


# ---------------------------------------------------------------- sides


def _rows(store: Store, name: str) -> list[Row]:
    if name == BASE:
        base = base_row(store.study)
        if base is None:
            raise NotMeasuredError("the study does not evaluate the model that training starts from")
        return [base]
    rows = [row for row in store.study.rows if row.method == name]
    if not rows:
        raise NotMeasuredError(NOT_TRAINED + name)
    return rows


def _paired(store: Store, contrast: ScoreContrast | EntropyContrast | StepsContrast, other: str) -> bool:
    """Whether runs of one seed are compared as pairs."""
    return paired(store.study, contrast.method, None if other == BASE else other)


def _sound(store: Store, sides: list[list[Row]], paths: list[Path]) -> list[str]:
    """``paths`` and the records of the runs behind them, if all are there and no run is invalid."""
    cells = [row for side in sides for row in side if row.method]
    found = present(store, [*(store.paths.run(row).record for row in cells), *paths])
    for name in dict.fromkeys(row.name for row in cells):
        if reason := store.invalid(name):
            raise NotMeasuredError(f"not compared: {name} has an invalid run ({reason})")
    return found
