"""The synthetic study with measured credit at the responses that its cells stored of their first step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from tokencredit import files
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.study.paths import RunFolder

KEY = ["problem_id", "cell", "sample", "position"]
CONTINUATIONS = 32
OTHER = 1000  # a token that was tried and not taken


def make_measured(store: Store, folder: Path) -> Store:
    """A copy of ``store`` below ``folder`` whose oracle found, at every second token of each response, one of two tokens to be better."""
    shutil.copytree(store.study.config.folder, folder / "config")
    shutil.copytree(store.results, folder / "results")
    path = folder / "config" / "studies" / "synthetic.yaml"
    content = yaml.safe_load(path.read_text())
    content["oracle"] = {"policies": ["base"], "seed": 0, "continuations": CONTINUATIONS}
    path.write_text(yaml.safe_dump(content))
    measured = Store(load_study(folder / "config", "synthetic"), folder / "results")
    for seed in measured.study.training.seeds:
        for name, table in zip(("states", "branches"), _oracle(measured, seed), strict=True):
            files.write_parquet(measured.paths.own.joinpath("oracle", "base", f"seed{seed}", f"{name}.parquet"), table)
    return measured


def _oracle(store: Store, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = [*KEY[:1], *KEY[2:], "step", "token_id", "token", "entropy", "old_logprob", "reward", "quadrant"]
    parts = [store.tokens(RunFolder.rollouts, name, columns).assign(cell=name) for name in store.study.methods]
    tokens = pd.concat(parts)
    tokens = tokens[(tokens["seed"] == seed) & (tokens["step"] == 1)].reset_index(drop=True)
    states = tokens.rename(columns={"old_logprob": "logprob"}).assign(tried=0.9995).drop(columns=["step", "seed"])
    rng = np.random.default_rng(seed)
    open_ = (states["position"] % 2 == 0).to_numpy()
    branches = []
    for state, several in zip(states.itertuples(), open_, strict=True):
        key = (state.problem_id, state.cell, state.sample, state.position)
        for token, right in ((state.token_id, 0.8), (OTHER, 0.4))[: 1 + several]:
            trials = CONTINUATIONS // 2 if several else 0
            found = int(rng.binomial(trials, right))
            branches.append((*key, token, 0.9995 / (1 + several), found, trials - found, 0))
    names = [*KEY, "token_id", "probability", "right", "wrong", "ungraded"]
    return states, pd.DataFrame(branches, columns=names)
