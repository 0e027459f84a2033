"""Synthetic studies with claims: the project's own, or a few that a test makes up."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
import synthetic_study
import yaml
from synthetic_config import methods_file

from tokencredit.analysis.paper import claims
from tokencredit.analysis.store import Store
from tokencredit.config import load_study

ROOT = Path(__file__).parents[2]
OWN: dict[str, Any] = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text())["claims"]
SEEDS = (0, 2, 3)  # of NLR's synthetic runs that of seed 1 is invalid


def score(method: str, *against: str, metric: str = "avg", direction: str = "higher") -> dict[str, Any]:
    return {"kind": "score", "metric": metric, "method": method, "against": list(against), "direction": direction}


def at_any_length(claim: dict[str, Any]) -> dict[str, Any]:
    """The claim without the number of updates below which it is not testable: synthetic runs are short."""
    contrasts = [{key: each[key] for key in each if key != "updates_at_least"} for each in claim["contrasts"]]
    return claim | {"contrasts": contrasts}


def named(claim: dict[str, Any]) -> list[str]:
    """The methods of a claim, each once."""
    names = [
        name
        for contrast in claim["contrasts"]
        for name in contrast.get("policies") or (contrast["method"], *contrast["against"])
    ]
    return [name for name in dict.fromkeys(names) if name not in ("base", "start")]


def store_of(folder: Path, methods: list[str], seeds: tuple[int, ...], declared: dict[str, Any]) -> Store:
    """A study of ``methods`` under ``folder`` with the claims ``declared``, which may name others."""
    with patch.object(synthetic_study, "_rollouts", return_value=pd.DataFrame({"step": [0]})):
        synthetic_study.make_study(folder, methods, seeds)  # no claim reads rollouts
    write_claims(folder / "config", declared)
    return Store(load_study(folder / "config", "synthetic"), folder / "results")


def write_claims(config: Path, declared: dict[str, Any], confidence: float = 0.95) -> None:
    study = yaml.safe_load((config / "studies" / "synthetic.yaml").read_text())
    names = [*study["training"]["methods"], *(name for claim in declared.values() for name in named(claim))]
    (config / "methods.yaml").write_text(yaml.safe_dump(methods_file(ROOT / "config" / "methods.yaml", names)))
    content = {name: {"statement": name, "source": "a test", **claim} for name, claim in declared.items()}
    (config / "claims.yaml").write_text(yaml.safe_dump({"confidence": confidence, "claims": content}, sort_keys=False))


def decided(store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lines of claims, by name, and those of contrasts."""
    table = claims.records(store)
    return table[table["contrast"] == ""].set_index("claim"), table[table["contrast"] != ""].reset_index(drop=True)


def plant(monkeypatch: pytest.MonkeyPatch, gains: dict[str, float], entropies: dict[str, float]) -> None:
    for name, gain in gains.items():
        monkeypatch.setitem(synthetic_study.GAIN, name, gain)
    for name, end in entropies.items():
        monkeypatch.setitem(synthetic_study.END_ENTROPY, name, end)


def quadrants_of(folder: Path, samples: int) -> Store:
    """Three seeds of the quadrants and EAPO, ``samples`` responses to a question, with the claims about them."""
    chosen = {name: OWN[name] for name in ("c1", "c2", "c3", "c4", "c5", "c8")}
    methods = ["grpo", "eapo", "phr", "plr", "nhr", "nlr"]
    with patch.object(synthetic_study, "SAMPLES", samples):
        return store_of(folder, methods, SEEDS, chosen)
