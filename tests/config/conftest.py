"""A small configuration folder on disk, whole and valid, that a test may spoil in one place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokencredit.config import load_study
from tokencredit.errors import UserError

PROMPT = "{problem} Answer:"
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 32, "max_response_tokens": 32}
JOB = {"mem_mb": 1000, "runtime": 10}
GENERATED = {"kind": "generated", "title": "Generated", "split": "train", "tiers": [1, 2], "rows": 100, "seed": 1}
FILES: dict[str, Any] = {
    "datasets.yaml": {
        "datasets": {
            "toy-train": GENERATED,
            "toy-test": {**GENERATED, "split": "test"},
            "toy-more": {**GENERATED, "seed": 2},
            "real": {
                "kind": "file",
                "title": "Real",
                "file": "real.jsonl",
                "rows": 50,
                "sha256": "0" * 64,
                "licence": "MIT",
                "hub": {"id": "owner/real", "split": "test", "revision": "a" * 40},
            },
        }
    },
    "models.yaml": {
        "models": {
            "small": {
                "kind": "embedded",
                "title": "Small",
                "hidden_size": 32,
                "layers": 2,
                "heads": 2,
                "intermediate_size": 64,
                "max_tokens": 64,
                "prompt": PROMPT,
                "pretraining": {
                    "seed": 0,
                    "steps": 10,
                    "batch": 8,
                    "learning_rate": 0.001,
                    "warmup_steps": 1,
                    "weight_decay": 0.0,
                    "tiers": [1],
                    "problems": 100,
                },
            },
            "released": {
                "kind": "hub",
                "title": "Released",
                "id": "owner/released",
                "revision": None,
                "parameters": 1000,
                "prompt": PROMPT,
            },
        }
    },
    "methods.yaml": {
        "recipes": {
            "plain": {
                "clip_low": 0.2,
                "clip_high": 0.28,
                "kl_coef": 0.0,
                "aggregation": "token-mean",
                "dynamic_sampling": False,
                "max_refills": 0,
            }
        },
        "methods": {
            "grpo": {"title": "GRPO", "recipe": "plain", "credit": "grpo"},
            "eapo": {"title": "EAPO", "recipe": "plain", "credit": "eapo", "params": {"alpha": 0.2, "phi": 2.0}},
            "eapo-strong": {"extends": "eapo", "title": "EAPO, strong", "params": {"alpha": 0.5}},
        },
    },
    "benchmarks.yaml": {
        "benchmarks": {
            "easy": {"title": "Easy", "dataset": "toy-test", "samples": 8, "problems": 100},
            "real": {"title": "Real", "dataset": "real", "samples": 4, "problems": 50},
        }
    },
    "studies/one.yaml": {
        "title": "One",
        "model": "small",
        "reference": "grpo",
        "training": {
            "datasets": ["toy-train"],
            "methods": ["grpo", "eapo"],
            "seeds": [0, 1],
            "steps": 10,
            "prompts_per_step": 8,
            "prompts_per_update": 4,
            "group_size": 4,
            "sampling": dict(SAMPLING),
            "learning_rate": 1.0e-4,
            "warmup_steps": 1,
            "weight_decay": 0.0,
            "grad_clip": 1.0,
            "micro_batch_tokens": 1024,
            "mixed_precision": "no",
            "checkpoint_every": 5,
            "curve": {
                "benchmark": "easy",
                "every": 5,
                "samples": 2,
                "problems": 10,
                "temperature": 1.0,
                "top_p": 1.0,
            },
            "rollouts": {"every": 5, "prompts": 2},
        },
        "evaluation": {
            "engine": "transformers",
            "seed": 0,
            "sampling": dict(SAMPLING),
            "rows": [{"name": "base", "model": "small", "title": "Base"}],
            "benchmarks": [{"benchmark": "easy", "samples": 4, "problems": 20}],
        },
        "resources": {"pretrain": JOB, "train": JOB, "generate": JOB, "light": JOB},
    },
}

ABSENT = object()
Spoil = Callable[..., Path]
STUDY = "studies/one.yaml"


def set_in(tree: Any, path: str, value: Any) -> None:
    """Set (or with ``ABSENT`` remove) the value at a dotted path; a number is a place in a list."""
    *parents, last = path.split(".")
    for part in parents:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    if isinstance(tree, list):
        tree[int(last)] = value
    elif value is ABSENT:
        del tree[last]
    else:
        tree[last] = value


@pytest.fixture
def spoil(tmp_path: Path) -> Spoil:
    """``spoil()`` writes the valid folder; ``spoil(file, path, value, …)`` writes it with these places changed."""

    def write(*changes: Any) -> Path:
        tree = copy.deepcopy(FILES)
        for file, path, value in zip(changes[::3], changes[1::3], changes[2::3], strict=True):
            set_in(tree[file], path, value)
        for name, content in tree.items():
            target = tmp_path / "config" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return tmp_path / "config"

    return write


def message_of(config: Path, name: str = "one") -> str:
    """What is said of the spoilt folder ``config``."""
    with pytest.raises(UserError) as caught:
        load_study(config, name)
    return str(caught.value)


def is_one_sentence(spoil: Spoil, file: str, path: str, value: Any, parts: list[str]) -> None:
    """Assert that ``value`` at ``path`` of ``file`` is refused by one sentence with all of ``parts``."""
    config = spoil(file, path, value)
    message = message_of(config)
    # The recipe and the data set are right by themselves: the study is where the combination is wrong.
    if "overlong" not in path and not path.endswith("split"):
        assert message.startswith(f"{config / file}: ")
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert message.endswith(".")
    assert "pydantic" not in message
    assert "Input should" not in message
