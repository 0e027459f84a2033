"""The configuration of the synthetic study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tokencredit import files


@dataclass(frozen=True)
class Sizes:
    """steps of training, samples of each of problems, of each benchmark; problems of the curve."""

    steps: int
    samples: int
    problems: int
    curve: int
    benchmarks: tuple[str, ...]


def write_config(folder: Path, methods: list[str], seeds: tuple[int, ...], sizes: Sizes) -> None:
    """The configuration folder of the study ``synthetic``."""
    root = Path(__file__).parents[2] / "config"
    sampling = {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 64, "max_response_tokens": 96}
    training = {
        "datasets": ["toy-train"],
        "methods": methods,
        "seeds": list(seeds),
        "steps": sizes.steps,
        "prompts_per_step": 8,
        "prompts_per_update": 4,
        "group_size": 8,
        "sampling": sampling,
        "learning_rate": 1e-4,
        "warmup_steps": 0,
        "weight_decay": 0,
        "grad_clip": 1.0,
        "micro_batch_tokens": 4096,
        "mixed_precision": "no",
        "checkpoint_every": 10,
        "curve": {
            "benchmark": "toy-tier2",
            "every": 10,
            "samples": sizes.samples,
            "problems": sizes.curve,
            "temperature": 1.0,
            "top_p": 1.0,
        },
        "rollouts": {"every": 10, "prompts": 6},
    }
    model = {
        "kind": "embedded",
        "title": "Embedded model",
        "hidden_size": 8,
        "layers": 1,
        "heads": 1,
        "intermediate_size": 8,
        "max_tokens": 256,
        "pretraining": {
            "seed": 0,
            "steps": 1,
            "batch": 1,
            "learning_rate": 1e-3,
            "warmup_steps": 0,
            "weight_decay": 0,
            "tiers": [1, 2, 3],
            "problems": 10,
        },
        "prompt": "{problem}",
    }
    datasets = {"toy-train": [1, 2, 3], "toy-tier1": [1], "toy-tier2": [2], "toy-tier3": [3]}
    content = {
        "datasets": {
            "datasets": {
                name: {
                    "kind": "generated",
                    "title": name,
                    "tiers": tiers,
                    "rows": sizes.problems,
                    "seed": 0,
                    "split": "train" if name == "toy-train" else "test",
                }
                for name, tiers in datasets.items()
            }
        },
        "models": {"models": {"embedded-1m": model}},
        "methods": methods_file(root / "methods.yaml", methods),
        "benchmarks": {
            "benchmarks": {
                name: {
                    "title": name.replace("toy-t", "T").replace("r", "r "),
                    "dataset": name,
                    "samples": sizes.samples,
                    "problems": sizes.problems,
                }
                for name in sizes.benchmarks
            }
        },
        "studies/synthetic": {
            "title": "Synthetic study",
            "model": "embedded-1m",
            "reference": "grpo",
            "training": training,
            "evaluation": {
                "engine": "transformers",
                "seed": 0,
                "sampling": sampling,
                "rows": [{"name": "base", "model": "embedded-1m", "title": "Base model"}],
                "benchmarks": [{"benchmark": name} for name in sizes.benchmarks],
            },
            "resources": {name: {"mem_mb": 1, "runtime": 1} for name in ("pretrain", "train", "generate", "light")},
        },
    }
    for name, tables in content.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(tables))
    for source in (root / "targets").glob("*.csv"):
        files.write_text(folder / "targets" / source.name, source.read_text())


def methods_file(path: Path, names: list[str]) -> dict[str, Any]:
    """The project's own ``methods.yaml``, as far as these methods need it: others may name models that this study has not."""
    tables = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    needed = list(names)
    for name in needed:
        needed += [other] if (other := tables["methods"][name].get("extends")) else []
    return tables | {"methods": {name: method for name, method in tables["methods"].items() if name in needed}}
