"""A study of two problems, and an engine that answers without a model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tokencredit import files
from tokencredit.config import Study, load_study
from tokencredit.records import Request, Response

CONFIG = {
    "datasets": {
        "datasets": {
            "sums": {"kind": "generated", "title": "Sums", "tiers": [1], "rows": 3, "seed": 1, "split": "test"}
        }
    },
    "models": {
        "models": {
            "small": {
                "kind": "hub",
                "title": "Small",
                "id": "a/b",
                "revision": None,
                "parameters": 10,
                "prompt": "Q: {problem} \\boxed{}",
            }
        }
    },
    "methods": {
        "recipes": {
            "grpo": {
                "clip_low": 0.2,
                "clip_high": 0.2,
                "kl_coef": 0,
                "aggregation": "token-mean",
                "dynamic_sampling": False,
                "max_refills": 0,
            }
        },
        "methods": {"grpo": {"title": "GRPO", "recipe": "grpo", "credit": "grpo"}},
    },
    "benchmarks": {"benchmarks": {"sums": {"title": "Sums", "dataset": "sums", "samples": 2, "problems": 3}}},
    "studies/small": {
        "title": "Small",
        "model": "small",
        "reference": "grpo",
        "training": {
            "datasets": ["sums"],
            "methods": ["grpo"],
            "seeds": [0],
            "steps": 2,
            "prompts_per_step": 2,
            "prompts_per_update": 1,
            "group_size": 2,
            "sampling": {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 20, "max_response_tokens": 10},
            "learning_rate": 1e-4,
            "warmup_steps": 0,
            "weight_decay": 0,
            "grad_clip": 1.0,
            "micro_batch_tokens": 100,
            "mixed_precision": "no",
            "checkpoint_every": 1,
            "curve": {"benchmark": "sums", "every": 1, "samples": 2, "problems": 3, "temperature": 1.0, "top_p": 1.0},
            "rollouts": {"every": 1, "prompts": 1},
        },
        "evaluation": {
            "engine": "transformers",
            "seed": 5,
            "sampling": {"temperature": 0.6, "top_p": 0.95, "max_prompt_tokens": 40, "max_response_tokens": 10},
            "rows": [{"name": "base", "model": "small", "title": "Base"}],
            "benchmarks": [{"benchmark": "sums"}],
        },
        "resources": {name: {"mem_mb": 1, "runtime": 1} for name in ("pretrain", "train", "generate", "light")},
    },
}


class WordTokenizer:
    """One token per word."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [len(word) for word in text.split()]


class EchoEngine:
    """Answers every request with its seed; an odd seed runs into the token limit."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def sample(
        self, requests: list[Request], *, temperature: float, top_p: float, max_tokens: int, progress: bool
    ) -> list[Response]:
        self.requests += requests
        return [
            Response(
                f"\\boxed{{{request.seed % 3}}}",
                (1,) * (max_tokens if request.seed % 2 else 2),
                "length" if request.seed % 2 else "stop",
            )
            for request in requests
        ]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    for name, content in CONFIG.items():
        path = tmp_path / "config" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return load_study(tmp_path / "config", "small")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {"problem_id": ["a", "b", "c"], "problem": ["1 + 1", "1 - 1", "{x} 0"], "answer": ["2", "0", "0"]}
    )
    files.write_parquet(tmp_path / "data" / "sums" / "problems.parquet", frame)
    return tmp_path / "data"


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer()


@pytest.fixture
def engine() -> EchoEngine:
    return EchoEngine()
