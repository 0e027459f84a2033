"""A study in seconds: every method of the project on untrained models of 16 channels."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file
from torch import Tensor

from tokencredit import files
from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Study, load_study, read_yaml
from tokencredit.data.embedded import generate_problems
from tokencredit.train import loop, measuring, resets
from tokencredit.train.run_spec import RunSpec

MODEL, TEACHER = "embedded-smoke", "tiny-teacher"


class CoinPool:
    """A grader for a model that solves nothing: a verdict by the hash of the response, so that groups differ within."""

    def __init__(self, workers: int, grader: str = "math") -> None:
        assert workers >= 1

    def __enter__(self) -> CoinPool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def grade_many(self, pairs: list[tuple[str, str]]) -> list[object]:
        right = (hashlib.sha256(response.encode()).digest()[0] % 2 for _, response in pairs)
        return [type("Grade", (), {"outcome": "right" if coin else "wrong"}) for coin in right]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``config``, where the smoke study has every method and trains 5 steps, the ``models`` and the ``data`` of it."""
    folder = tmp_path_factory.mktemp("tiny")
    config = folder / "config"
    shutil.copytree("config", config)
    _rewrite(config / "models.yaml", _shrink_models)
    _rewrite(config / "methods.yaml", _fit_methods)
    methods = list(read_yaml(config / "methods.yaml")["methods"])
    _rewrite(config / "studies/smoke.yaml", lambda study: _shrink_study(study, methods))

    models = load_study(config, "smoke").config.models
    for name in (MODEL, TEACHER):
        model_dir = folder / "models" / name
        tokenizer = new_tokenizer(models[name])
        build_model(models[name], tokenizer).save_pretrained(model_dir)
        tokenizer.save_pretrained(model_dir)
        digest = files.sha256(model_dir / "model.safetensors")
        files.write_json(model_dir / "model.json", {"model": name, "kind": "embedded", "path": ".", "sha256": digest})
    for split in ("train", "test"):
        files.write_parquet(folder / "data" / split / "problems.parquet", generate_problems([1], 20, 1, split))
    return folder


def tiny_spec(tiny: Path, name: str, out: Path) -> RunSpec:
    """A run of the tiny study under seed 0."""
    study = _study(tiny / "config")
    data, test = tiny / "data/train/problems.parquet", tiny / "data/test/problems.parquet"
    teacher = tiny / "models" / TEACHER if study.methods[name].teacher else None
    return RunSpec(study, name, 0, tiny / "models" / MODEL, [data], test, out, teacher)


def each_token(texts: list[str]) -> list[int]:
    """Steps for a model that writes no sentence within 6 tokens: it may restart anywhere."""
    return [*range(len(texts))]


@dataclass(frozen=True)
class Trained:
    """What a finished run of the tiny study left."""

    spec: RunSpec

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row per step."""
        return pd.DataFrame(files.read_jsonl(self.spec.out / "metrics.jsonl"))

    @cached_property
    def tokens(self) -> pd.DataFrame:
        """The stored rollouts, with the number of the token's response. The two prompts of a step are those of its first update."""
        tokens = files.read_parquet(self.spec.out / "rollouts.parquet")
        return tokens.assign(response=(tokens["position"] == 0).cumsum())

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        return load_file(self.spec.out / "model" / "model.safetensors")


@pytest.fixture(scope="session")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """A method of the tiny study, trained once whoever asks."""

    @cache
    def run(name: str) -> Trained:
        spec = tiny_spec(tiny, name, tmp_path_factory.mktemp(name))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "GradingPool", CoinPool)
            patch.setattr(measuring, "_MOST_TOKENS", 2)
            patch.setattr(resets, "first_tokens", each_token)
            assert loop.train(spec)
        return Trained(spec)

    return run


@pytest.fixture
def spec(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """EAPO of the tiny study, 5 steps, a checkpoint every second."""
    monkeypatch.setattr(loop, "GradingPool", CoinPool)
    monkeypatch.setattr(resets, "first_tokens", each_token)
    return tiny_spec(tiny, "eapo", tmp_path / "run")


@cache
def _study(config: Path) -> Study:
    return load_study(config, "smoke")


def _rewrite(path: Path, change: Any) -> None:
    raw = read_yaml(path)
    change(raw)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def _shrink_models(raw: Any) -> None:
    models = raw["models"]
    models[MODEL] |= {"hidden_size": 16, "layers": 1, "heads": 2, "intermediate_size": 16}
    models[MODEL]["privileged_prompt"] = "{problem} Answer: {answer}.\n"
    pretraining = {**models[MODEL]["pretraining"], "seed": 1}
    models[TEACHER] = {**models[MODEL], "title": "Teacher", "pretraining": pretraining}


def _fit_methods(raw: Any) -> None:
    """What acts on an untrained model within 6 tokens: a tiny teacher for all, short penalties, bounds that its entropies and covariances
    reach. And, to compare with, the group advantage on every base.
    """
    for recipe in raw["recipes"].values():
        if "overlong_buffer" in recipe:
            recipe["overlong_buffer"] = 4
    for method in raw["methods"].values():
        if "teacher" in method:
            method["teacher"] = TEACHER
        if "measure" in method:
            method["measure"] = {"continuations": 2}
    raw["methods"]["entroreg-adaptive"]["params"] = {"target": 10.0}
    raw["methods"]["clip-cov"]["params"] = {"low": 0.0}
    for recipe in raw["recipes"]:
        raw["methods"][f"plain-{recipe}"] = {"title": "Plain", "recipe": recipe, "credit": "grpo"}


def _shrink_study(raw: Any, methods: list[str]) -> None:
    training = raw["training"]
    training |= {"methods": methods, "steps": 5, "checkpoint_every": 2, "prompts_per_step": 4, "prompts_per_update": 2}
    training["learning_rate"] = 1e-3  # ratios leave narrow clip bounds within a step
    training["sampling"]["max_response_tokens"] = 6
