"""A study in seconds: every method of the project on untrained models of 16 channels."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokencredit import files
from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import load_study, read_yaml
from tokencredit.data.embedded import generate_problems
from tokencredit.train import loop
from tokencredit.train.cell import Cell

MODEL, TEACHER = "embedded-smoke", "tiny-teacher"


class CoinPool:
    """A grader for a model that solves nothing: a verdict by the hash of the response, so that groups differ within."""

    def __init__(self, workers: int) -> None:
        assert workers == 1

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


def tiny_cell(tiny: Path, name: str, out: Path) -> Cell:
    """A cell of the tiny study under seed 0."""
    study = load_study(tiny / "config", "smoke")
    data, test = tiny / "data/train/problems.parquet", tiny / "data/test/problems.parquet"
    teacher = tiny / "models" / TEACHER if study.methods[name].teacher else None
    return Cell(study, name, 0, tiny / "models" / MODEL, [data], test, out, teacher)


@pytest.fixture
def cell(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """EAPO of the tiny study, 5 steps, a checkpoint every second."""
    monkeypatch.setattr(loop, "GradingPool", CoinPool)
    return tiny_cell(tiny, "eapo", tmp_path / "run")


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
    """The same teacher for all, penalties within responses of 6 tokens, and the group advantage on every base to compare with."""
    for base in raw["bases"].values():
        if "overlong_buffer" in base:
            base["overlong_buffer"] = 4
    for method in raw["methods"].values():
        if "teacher" in method:
            method["teacher"] = TEACHER
    raw["methods"]["entroreg-adaptive"]["params"] = {"target": 10.0}  # untrained, the policy is far above 0.2 nats
    for base in raw["bases"]:
        raw["methods"][f"plain-{base}"] = {"title": "Plain", "base": base, "credit": "grpo"}


def _shrink_study(raw: Any, methods: list[str]) -> None:
    training = raw["training"]
    training |= {"methods": methods, "steps": 5, "checkpoint_every": 2, "prompts_per_step": 4, "prompts_per_update": 2}
    training["learning_rate"] = 1e-3  # ratios leave narrow clip bounds within a step
    training["sampling"]["max_response_tokens"] = 6
