"""A synthetic study whose tokens have a planted credit, and whose methods weigh them as a test wishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from synthetic_study import make_study

from tokencredit import files
from tokencredit.analysis.store import Store
from tokencredit.config import load_study

TRIALS = 30
TAKEN, OTHER = 7, 8
RESPONSE = ["problem_id", "sample"]
# What a method makes of the tokens of the first step, given their planted Q - V: changed columns of its rollouts.
Weigh = Callable[[pd.DataFrame, np.ndarray], dict[str, np.ndarray]]


def weighed_study(folder: Path, methods: dict[str, Weigh]) -> Store:
    """Every third token was possible alone; of the others one candidate is always followed by what is right, one by what is wrong.

    So Q - V of the token taken, which has the probability pi, is 1 - pi or pi - 1 and known without noise.
    """
    make_study(folder, list(methods), (0,))
    path = folder / "config/studies/synthetic.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"oracle": oracle_keys()}))
    first = first_step(folder, next(iter(methods)))
    pi, right, credit = planted(len(first))
    states = first[[*RESPONSE, "position", "token_id", "token", "entropy", "reward", "quadrant"]].assign(
        cell=next(iter(methods)), tried=np.where(pi < 1, 1.0, 0.9999), logprob=np.log(pi)
    )
    key = states[[*RESPONSE, "cell", "position"]]
    tried = [key.assign(token_id=TAKEN, probability=pi, right=np.where(pi < 1, TRIALS * right, 0))]
    tried += [key.assign(token_id=OTHER, probability=1 - pi, right=TRIALS * ~right)[pi < 1]]
    branches = pd.concat(tried, ignore_index=True).assign(ungraded=0)
    alone = branches["probability"] == 1
    branches["wrong"] = np.where(alone, 0, TRIALS - branches["right"])
    for name, table in (("states", states), ("branches", branches)):
        files.write_parquet(folder / f"results/synthetic/oracle/base/seed0/{name}.parquet", table)
    for name, weigh in methods.items():
        change(folder, name, weigh, credit)
    return Store(load_study(folder / "config", "synthetic"), folder / "results")


def oracle_keys() -> dict[str, object]:
    return {"policies": ["base"], "seed": 0, "continuations": 2 * TRIALS}


def planted(tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each token its probability (1: it was possible alone), whether it is the right one, and Q - V."""
    rng = np.random.default_rng(1)
    pi = np.where(np.arange(tokens) % 3 == 0, 1.0, rng.uniform(0.3, 0.9, tokens))
    right = rng.random(tokens) < 0.5
    return pi, right, np.where(right, 1 - pi, pi - 1)


def first_step(folder: Path, method: str) -> pd.DataFrame:
    table = files.read_parquet(folder / f"results/synthetic/runs/{method}/seed0/rollouts.parquet")
    return table[table["step"] == 1].reset_index(drop=True)


def change(folder: Path, method: str, weigh: Weigh, credit: np.ndarray) -> None:
    """Write a run's rollouts anew, first step alone, and have its ``run.json`` know them."""
    run = folder / f"results/synthetic/runs/{method}/seed0"
    table = first_step(folder, method).assign(keep=True)
    files.write_parquet(run / "rollouts.parquet", table.assign(**weigh(table, credit)))
    record = files.read_json(run / "run.json")
    record["files"]["rollouts.parquet"] = files.sha256(run / "rollouts.parquet")
    files.write_json(run / "run.json", record)
