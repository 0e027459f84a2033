"""The result that a study obtained for a printed number of the paper: value, error and cost, from the stored records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tokencredit import statistics
from tokencredit.analysis.paper.printed import MEAN, TRAINING
from tokencredit.analysis.store import Store
from tokencredit.config import Row
from tokencredit.statistics import NAN
from tokencredit.statistics.estimators import avg_at_k, pass_at_k
from tokencredit.study import reads
from tokencredit.study.paths import FileName, RunFolder

ONE_SEED = "one training seed tells nothing of other runs"
SMOOTHED = 5  # steps of training that a point of a training curve is the mean of, as Figure 2 draws it


@dataclass(frozen=True)
class Measured:
    """A result in the unit of the printed number. ``runs``: the result of every training seed, or the one of a model that is not trained.

    ``noise``: standard error of one run from sampling alone, the questions held fixed (at most, for token counts, Pass@k and solve rates);
    NaN where nothing tells of it. ``question_se``: of the mean over seeds, as one of many such sets of questions.
    """

    runs: list[float]
    noise: float
    question_se: float
    trained: bool
    samples: int
    files: list[str]

    @property
    def value(self) -> float:
        return float(np.mean(self.runs))


class NotMeasuredError(Exception):
    """Why the study has no result for a printed number: the message is a sentence for the table."""


def measure(store: Store, target: pd.Series) -> Measured:
    """The study's result for a line of ``targets.printed``. Raises ``NotMeasuredError`` where it has none that can be compared."""
    rows = [row for row in store.study.rows if row.name == target["method"]]
    if not rows:
        raise NotMeasuredError(f"the study has no row {target['method']}")
    if target["benchmark"] == TRAINING:
        return _training(store, rows, target)
    if not np.isnan(target["step"]):
        return _curve(store, rows, target)
    if target["benchmark"] == MEAN:
        return _mean(store, rows)
    return _benchmark(store, rows, target)


def _benchmark(store: Store, rows: list[Row], target: pd.Series) -> Measured:
    name, metric = target["benchmark"], target["metric"]
    if name not in store.study.benchmarks:
        raise NotMeasuredError(f"the study does not evaluate {name}")
    questions = store.study.benchmarks[name].problems
    if questions != target["questions"]:
        raise NotMeasuredError(f"the study takes {questions} questions, the paper {target['questions']:.0f}")
    paths = present(store, list(reads.scores(store.paths, rows)))
    parts = [store.questions(row, name) for row in rows]
    n = store.study.benchmarks[name].samples
    right = np.array([part["right"] for part in parts])
    if metric == "tokens":
        tokens = np.array([part["tokens"] for part in parts])
        noise = float(np.mean([statistics.question_se(run) for run in tokens]))
        return _measured(rows, tokens, noise, n, paths, scale=1)
    if metric == "pass":
        k = int(target["k"])
        if k > n:
            raise NotMeasuredError(f"{n} responses per question allow no Pass@{k}")
        noise = _root_mean_square([statistics.pass_sampling_se(np.full(run.shape, n), run, k) for run in right])
        return _measured(rows, pass_at_k(n, right, k), noise, n, paths)
    noise = _root_mean_square([statistics.sampling_se(np.full(run.shape, n), run) for run in right])
    return _measured(rows, avg_at_k(n, right), noise, n, paths)


def _mean(store: Store, rows: list[Row]) -> Measured:
    """The unweighted mean over the study's benchmarks, but for those beside the others, which are those of the printed table, of Avg@n."""
    parts = [
        _benchmark(store, rows, pd.Series({"benchmark": name, "metric": "avg", "questions": benchmark.problems}))
        for name, benchmark in store.study.averaged.items()
    ]
    return Measured(
        runs=np.mean([part.runs for part in parts], axis=0).tolist(),
        noise=float(np.sqrt(np.sum([part.noise**2 for part in parts]))) / len(parts),
        question_se=float(np.sqrt(np.sum([part.question_se**2 for part in parts]))) / len(parts),
        trained=parts[0].trained,
        samples=0,  # it differs between benchmarks
        files=parts[0].files,
    )


def _training(store: Store, rows: list[Row], target: pd.Series) -> Measured:
    """Solve rate or entropy of training around a step: a mean over ``SMOOTHED`` steps, as Figure 2 draws it."""
    metric, step = target["metric"], int(target["step"])
    paths = present(store, _of_runs(store, rows, RunFolder.metrics))
    scale = 100 if metric == "solve_rate" else 1
    table = store.metrics(rows[0].name)
    if step not in set(table["step"]):
        raise NotMeasuredError(f"training has no step {step}")
    around = table[(table["step"] - step).abs() <= SMOOTHED // 2]
    if around[metric].isna().any():
        raise NotMeasuredError(f"a step around step {step} learned nothing and has no {metric.replace('_', ' ')}")
    runs = [scale * float(run[metric].mean()) for _, run in around.groupby("seed")]
    noise = NAN
    if metric == "solve_rate":
        # The prompts of a step are drawn anew: the responses to one of them count as one.
        share, prompts = np.mean(runs) / 100, around["step"].nunique() * store.study.training.prompts_per_step
        noise = 100 * float(np.sqrt(share * (1 - share) / prompts))
    return Measured(runs, noise, NAN, True, store.study.training.group_size, paths)


def _curve(store: Store, rows: list[Row], target: pd.Series) -> Measured:
    """Avg@n or Pass@k on the curve benchmark at a step of training."""
    curve, step = store.study.training.curve, int(target["step"])
    if (curve.benchmark, curve.problems) != (target["benchmark"], target["questions"]):
        raise NotMeasuredError(f"the curve of training is {curve.problems} questions of {curve.benchmark}")
    if target["k"] > curve.samples:
        raise NotMeasuredError(f"{curve.samples} responses per question allow no @{target['k']:.0f}")
    paths = present(store, _of_runs(store, rows, RunFolder.evaluations))
    right = curve_right(store, rows[0].name).get(step)
    if right is None:
        raise NotMeasuredError(f"training evaluates every {curve.every} steps, not at step {step}")
    n, k = curve.samples, int(target["k"])
    if target["metric"] == "pass":
        scores = pass_at_k(n, right, k)
        noise = [statistics.pass_sampling_se(np.full(run.shape, n), run, k) for run in right]
    else:
        scores, noise = avg_at_k(n, right), [statistics.sampling_se(np.full(run.shape, n), run) for run in right]
    return _measured(rows, scores, _root_mean_square(noise), n, paths)


def curve_right(store: Store, method: str) -> dict[int, np.ndarray]:
    """Right responses of every seed and question, [S, Q], to the curve's benchmark, by step of training."""
    table = store.tokens(RunFolder.evaluations, method, ["step", "problem_id", "outcome"])
    table["right"] = table["outcome"] == "right"
    counted = table.pivot_table(index=["step", "seed"], columns="problem_id", values="right", aggfunc="sum")
    return {step: part.dropna(axis=1, how="all").to_numpy(int) for step, part in counted.groupby(level="step")}


def _measured(
    rows: list[Row], scores: np.ndarray, noise: float, samples: int, paths: list[str], scale: float = 100
) -> Measured:
    """``scores``: of every seed and question, [S, Q]; ``noise`` in the same unit."""
    return Measured(
        runs=(scale * scores.mean(1)).tolist(),
        noise=scale * noise,
        question_se=scale * statistics.question_se(scores.mean(0)),
        trained=rows[0].method is not None,
        samples=samples,
        files=paths,
    )


def _of_runs(store: Store, rows: list[Row], file: FileName) -> list[Path]:
    """A file of each run, behind the record of the run, which says what it was made with."""
    folders = [store.paths.run(row) for row in rows]
    return [path for folder in folders for path in (folder.record, folder.folder / file.name)]


def present(store: Store, paths: list[Path]) -> list[str]:
    """``paths`` as named below the study's folder, if all are there: a result of some seeds is not the result of the study."""
    missing = [path for path in paths if not store.present(path)]
    if missing:
        first = store.paths.within_study(missing[0])
        raise NotMeasuredError(f"{first} is not there ({len(missing)} of {len(paths)} files)")
    return [store.paths.within_study(path) for path in paths]


def _root_mean_square(errors: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))
