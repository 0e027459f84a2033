"""Writes a small study's configuration and results: exactly the files and columns that the stages write, from seeded noise."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from synthetic_config import Sizes, write_config

from tokencredit import files
from tokencredit.config import Row, Study, load_study
from tokencredit.study.notes import Note, append
from tokencredit.study.paths import Paths

METHODS = ["grpo", "dapo", "eapo", "hapo", "phr", "plr", "nhr", "nlr", "eapo-without-nhr"]
GAIN = {"base": 0, "grpo": 1.6, "dapo": 1.7, "eapo": 2.0, "hapo": 1.8, "phr": 1.2, "plr": 0.3, "nhr": 1.4, "nlr": 0.5}
END_ENTROPY = {"grpo": 0.12, "dapo": 0.2, "eapo": 0.5, "hapo": 0.4, "phr": 0.1, "plr": 0.08, "nhr": 0.33, "nlr": 0.36}
TIERS = {"toy-tier1": 0.0, "toy-tier2": -1.0, "toy-tier3": -2.2}
STEPS, SAMPLES, PROBLEMS, CURVE = 30, 8, 40, 10
AT = "2026-12-01T09:30:00Z"
# Two notes at one step, of which one is about a run, and one about a method.
NOTES = [
    Note(at=AT, by="A person", text="another node", step=12),
    Note(at=AT, by="A person", text="odd", method="eapo", seed=1, step=12),
    Note(at=AT, by="A person", text="see mail", method="grpo"),
]
MASS = ["mass_phr", "mass_plr", "mass_nhr", "mass_nlr"]
CORRELATIONS = ["correlation_entropy", "correlation_position", "correlation_logprob"]
WORDS = [
    "Tom",
    " has",
    " 3",
    " apples",
    ".",
    "\n",
    "He",
    " buys",
    " 4",
    " <b>",
    "&",
    " so",
    " 3",
    " +",
    " 4",
    " =",
    " $7$",
    "\\boxed{7}",
]


def make_study(folder: Path, methods: list[str] = METHODS, seeds: tuple[int, ...] = (0, 1)) -> Study:
    """The study ``synthetic`` under ``folder/config``, its results under ``folder/results``."""
    write_config(folder / "config", methods, seeds, Sizes(STEPS, SAMPLES, PROBLEMS, CURVE, tuple(TIERS)))
    study = load_study(folder / "config", "synthetic")
    results = folder / "results"
    for benchmark in study.benchmarks:
        files.write_json(results / "synthetic" / "audit" / f"{benchmark}.json", _audit(benchmark))
        overlap = 0 if benchmark == "toy-tier3" else 2
        report = {
            "train": "toy-train",
            "benchmark": benchmark,
            "rule": "60 % of the 10-word shingles",
            "benchmark_problems": PROBLEMS,
        }
        report |= {
            "overlapping": overlap,
            "share": overlap / PROBLEMS,
            "pairs": [{"benchmark_id": f"test-{index}", "train_id": "x"} for index in range(overlap)],
            "similar_rule": "nearly the same",
            "similar": 2,
        }
        files.write_json(results / "data" / "overlap" / f"toy-train--{benchmark}.json", report)
    for row in study.rows:
        files.write_parquet(results / "synthetic" / "eval" / row.path / "scores.parquet", *_scores(study, row))
        if row.method:
            _write_run(results / "synthetic" / "runs" / row.path, row)
    for note in NOTES:
        append(Paths(study, results), note)
    return study


def lose_entropy(folder: Path, method: str, seed: int, step: int) -> None:
    """Let a run have learned nothing at a step, which then has no entropy, as training writes it."""
    run = folder / "results" / "synthetic" / "runs" / method / f"seed{seed}"
    lines = files.read_jsonl(run / "metrics.jsonl")
    del lines[step - 1]["entropy"]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = files.read_json(run / "run.json")
    record["files"]["metrics.jsonl"] = files.sha256(run / "metrics.jsonl")
    files.write_json(run / "run.json", record)


def rng(*parts: Any) -> np.random.Generator:
    return np.random.default_rng([*"/".join(map(str, parts)).encode()])


def gain(method: str) -> float:
    return GAIN.get(method, 1.5)


def _audit(benchmark: str) -> dict[str, Any]:
    counts = {"gold_right": PROBLEMS, "gold_total": PROBLEMS, "junk_right": 0, "junk_total": PROBLEMS}
    case = {"kind": "digit", "gold": "1 < 2", "answer": r"\frac{2}{3}", "outcome": "ungraded"}
    variants = {
        "seed": 7,
        "mutants_right": 0,
        "mutants_equal": 1,
        "mutants_total": 9,
        "mutants": {"digit": {"equal": 1, "wrong": 8}},
        "mutants_exceptions": [],
        "mutants_proved_equal": [{**case, "outcome": "right", "equal": "the values agree"}],
        "rewritings_not_right": 1,
        "rewritings_total": 9,
        "rewritings": {"spaces": {"right": 8, "ungraded": 1}},
        "rewritings_exceptions": [case],
    }
    return {"benchmark": benchmark, "grader": "math-verify 0.9.0", **counts, **variants, "failures": [], "passed": True}


def _scores(study: Study, row: Row) -> tuple[pd.DataFrame, dict[str, Any]]:
    tables = []
    for benchmark, level in TIERS.items():
        ability = rng(benchmark).normal(level, 1.2, PROBLEMS) + gain(row.name)
        noise = rng(benchmark, row.name, row.seed)
        right = noise.binomial(SAMPLES, 1 / (1 + np.exp(-ability)))
        ungraded = noise.binomial(SAMPLES - right, 0.02)
        tables.append(
            pd.DataFrame(
                {
                    "study": "synthetic",
                    "row": row.name,
                    "seed": row.seed,
                    "benchmark": benchmark,
                    "problem_id": [f"test-{index}" for index in range(PROBLEMS)],
                    "n": SAMPLES,
                    "right": right,
                    "wrong": SAMPLES - right - ungraded,
                    "ungraded": ungraded,
                    "truncated": noise.binomial(SAMPLES, 0.03, PROBLEMS),
                    "tokens": noise.uniform(20, 50, PROBLEMS),
                    "majority": (right > SAMPLES / 2).astype(float),
                }
            )
        )
    entry = {
        "grader": "math-verify 0.9.0",
        "engine": "transformers",
        "sampling": study.evaluation.sampling.model_dump(mode="json"),
        "data_sha256": "d" * 64,
        "model_sha256": files.digest_of(row.path),
        "code_digest": "c" * 64,
        "environment": {"python": "3.11", "torch": "2.13.0"},
    }
    metadata = {
        "study": "synthetic",
        "row": row.name,
        "seed": row.seed,
        "benchmarks": dict.fromkeys(TIERS, entry),
        "code_digest": "c" * 64,
    }
    return pd.concat(tables, ignore_index=True), metadata


def _write_run(folder: Path, row: Row) -> None:
    noise = rng("run", row.path)
    time = np.arange(1, STEPS + 1)
    end = END_ENTROPY.get(row.name, 0.3)
    rise = 1 - np.exp(-time / 10)
    entropy = 0.34 + (end - 0.34) * rise + noise.normal(0, 0.006, STEPS)
    solve = 0.35 + 0.2 * gain(row.name) * rise + noise.normal(0, 0.02, STEPS)
    lines = [
        {
            "step": int(step),
            "solve_rate": float(solve[i]),
            "entropy": float(entropy[i]),
            "above_mean": float(0.24 + noise.normal(0, 0.01)),
            "response_tokens": 30.0,
            "truncated": 0.01,
            "tokens": 1920,
            "mismatch_kl": float(3e-7 if step != 5 else 2e-6),
            "mismatch_outside": 0.0,
            **_weights(row, noise),
            **_quadrants(row, int(step)),
        }
        for i, step in enumerate(time)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files.write_parquet(folder / "rollouts.parquet", pd.concat([_rollouts(row, step) for step in (1, 10, 20, 30)]))
    files.write_parquet(folder / "evaluations.parquet", pd.concat([_evaluation(row, step) for step in (0, 10, 20, 30)]))
    files.write_parquet(folder / "probe.parquet", pd.concat([_probe(row, step, end) for step in (0, 10, 20, 30)]))
    run = {
        "study": "synthetic",
        "cell": row.name,
        "seed": row.seed,
        "steps": STEPS,
        "environment": {"python": "3.11", "torch": "2.13.0", "device": "cpu"},
        "code_digest": "e" * 64,
        "config_digest": "f" * 64,
        "digests": {"config": "f" * 64, "code": "e" * 64, "model": "a" * 64, "data toy-train": "b" * 64},
        "model_sha256": files.digest_of(row.path),
        "files": {path.name: files.sha256(path) for path in folder.iterdir()},
        "final": lines[-1],
        "invalid": "the loss was not finite at step 29" if row.name == "nlr" and row.seed == 1 else None,
        "seconds": 100.0,
    }
    files.write_json(folder / "run.json", run)


def _weights(row: Row, noise: np.random.Generator) -> dict[str, float | None]:
    """Diagnostics of token weights: GRPO and DAPO weigh all tokens alike, quadrants one part of them, all others a little unevenly."""
    mass = dict(zip(MASS, noise.dirichlet([12, 30, 14, 44]), strict=True))
    if row.name in ("grpo", "dapo"):
        weights = {"weight_gini": 0.0, "effective_tokens": 1.0, "sign_changes": 0.0, "kept": 1.0}
        return {**weights, **dict.fromkeys(CORRELATIONS), **mass, "credit_mean": noise.normal(0.85, 0.02)}
    quadrant = f"mass_{row.name}" in MASS
    part = noise.normal(0.25, 0.02) if quadrant else noise.normal(0.97, 0.005)
    return {
        "weight_gini": 1 - part,
        "effective_tokens": part,
        "sign_changes": 0.0,
        "kept": part if quadrant else 1.0,
        **dict(zip(CORRELATIONS, noise.normal([0.8, -0.3, -0.6], 0.05), strict=True)),
        **({name: float(name == f"mass_{row.name}") for name in MASS} if quadrant else mass),
        "credit_mean": 0.85 * part,
    }


def _quadrants(row: Row, step: int) -> dict[str, float | None]:
    """Share of tokens and mean entropy of each quadrant; at step 2 no token of a right response is of high entropy."""
    noise = rng("quadrants", row.path, step)
    shares = noise.dirichlet([10, 25, 15, 50])
    if step == 2:
        shares = np.array([0, 0.4, 0.1, 0.5])
    entropies = np.array([1.5, 0.03, 1.7, 0.04]) + noise.normal(0, 0.005, 4)
    names = [name.removeprefix("mass_") for name in MASS]
    return {
        **{f"tokens_{name}": float(share) for name, share in zip(names, shares, strict=True)},
        **{
            f"entropy_{name}": float(entropy) if share else None
            for name, entropy, share in zip(names, entropies, shares, strict=True)
        },
    }


@cache
def _rollouts(row: Row, step: int, prompts: int = 6, group: int = 8) -> pd.DataFrame:
    """Token tables as in training; at step 1 every method of a seed has the same rollouts but its own credit."""
    noise = rng("rollouts", row.seed, step, "" if step == 1 else row.name)
    tables = []
    for prompt in range(prompts):
        right = int(noise.integers(1, group))
        reward = noise.permutation([1.0] * right + [-1.0] * (group - right))
        advantage = (reward - reward.mean()) / reward.std(ddof=1)
        for sample in range(group):
            words = (WORDS * 3)[: int(noise.integers(18, 45))]
            high = noise.uniform(size=len(words)) < 0.25
            spread = 0.55 if reward[sample] > 0 else 0.75
            entropy = np.where(high, noise.gamma(3, spread / 2, len(words)), noise.exponential(0.02, len(words)))
            tables.append(
                pd.DataFrame(
                    {
                        "step": step,
                        "problem_id": f"toy-train-{prompt}",
                        "sample": sample,
                        "position": range(len(words)),
                        "token_id": 7,
                        "token": words,
                        "entropy": entropy.astype("float32"),
                        "old_logprob": -entropy,
                        "reward": reward[sample],
                        "group_advantage": advantage[sample],
                    }
                )
            )
    table = pd.concat(tables, ignore_index=True)
    mean, std = (
        table.groupby("problem_id")["entropy"].transform("mean"),
        table.groupby("problem_id")["entropy"].transform("std"),
    )
    weight = (0.2 * (table["entropy"] - mean) / std / table["group_advantage"].abs()).clip(-0.1, 0.1)
    table["quadrant"] = 2 * (table["reward"] < 0) + (table["entropy"] < mean)
    own = {"phr": 0, "plr": 1, "nhr": 2, "nlr": 3}
    table["keep"] = table["quadrant"] == own[row.name] if row.name in own else True
    table["advantage"] = table["group_advantage"] * (1 + weight if row.name.startswith(("eapo", "hapo")) else 1)
    return table


def _evaluation(row: Row, step: int) -> pd.DataFrame:
    ability = rng("toy-tier2").normal(-1, 1.2, PROBLEMS)[:CURVE] + gain(row.name) * (1 - np.exp(-step / 10))
    noise = rng("curve", row.path if step else "base", step)
    right = noise.uniform(size=(CURVE, SAMPLES)) < (1 / (1 + np.exp(-ability)))[:, None]
    return pd.DataFrame(
        {
            "step": step,
            "benchmark": "toy-tier2",
            "problem_id": np.repeat([f"toy-tier2-{index}" for index in range(CURVE)], SAMPLES),
            "sample": np.tile(np.arange(SAMPLES), CURVE),
            "outcome": np.where(right.ravel(), "right", "wrong"),
            "n_tokens": 30,
        }
    )


@cache
def _probe(row: Row, step: int, end: float, responses: int = 10, length: int = 30) -> pd.DataFrame:
    noise, moved = rng("probe", row.seed), rng("probe", row.path, step)
    quadrant = noise.choice(4, size=responses * length, p=[0.12, 0.38, 0.13, 0.37])
    base = np.where(quadrant % 2 == 0, noise.gamma(4, 0.25, quadrant.size), noise.exponential(0.03, quadrant.size))
    shift = step / STEPS * moved.normal(1, 0.5, quadrant.size)
    entropy = np.maximum(0, base * (1 + (end / 0.34 - 1) * shift))
    return pd.DataFrame(
        {
            "step": step,
            "response": np.repeat(np.arange(responses), length),
            "position": np.tile(np.arange(length), responses),
            "quadrant": quadrant,
            "entropy": entropy,
            "base_entropy": base,
        }
    )
