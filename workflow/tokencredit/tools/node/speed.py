"""How fast a node is: the scripts of ``benchmarks/`` at the shapes of released models, one after the other while there is time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokencredit.engines import ENGINES
from tokencredit.files import read_json
from tokencredit.tools.node.commands import run

FOLDER = Path("benchmarks")  # of a clone, where the command is given
MODELS = ("deepscaler-1.5b-8k", "qwen2.5-math-7b")  # of config/models.yaml: 1.5B and 7B
EMBEDDED = ("embedded-1m",)  # where there is no GPU
_LEAST = 20.0  # seconds: a benchmark that has less is not begun

# Of the scripts, on a GPU and without one.
_STEP = (
    "--rows 64 --updates 2 --response 256 --trl-batch 4 --budget 4096 --repeats 2",
    "--rows 32 --updates 2 --response 32 --trl-batch 16 --repeats 1",
)
_SAMPLING = (
    "--prompts 32 --samples 8 --prompt-tokens 128 --tokens 128 --repeats 1",
    "--prompts 4 --samples 4 --prompt-tokens 32 --tokens 32 --repeats 1",
)
_HEAD = ("--tokens 3072 --rounds 1", "--tokens 512 --rounds 1")


@dataclass(frozen=True)
class Benchmark:
    """One call of a script: ``what`` it times, of ``whom``, at the shape of ``model``; ``package``: what it takes beside this one."""

    what: str
    whom: str
    model: str
    script: str
    options: str
    package: str | None = None

    def missing(self) -> str | None:
        """Why it cannot be called here."""
        if not (FOLDER / self.script).is_file():
            return f"{FOLDER / self.script}: no such file; call the command in a clone of the repository"
        if self.package and find_spec(self.package) is None:
            return f"the package {self.package} is not installed here"
        return None


def benchmarks(on_gpu: bool) -> list[Benchmark]:
    """What a plan needs comes first, and what others take last."""
    models, place = (MODELS, 0) if on_gpu else (EMBEDDED, 1)
    packages = {"trl": "trl", "vllm": "vllm"}
    kinds = [
        ("step", "ours", "train_step.py", f"--trainer ours {_STEP[place]}"),
        *(("sampling", name, "sampling.py", f"--engine {name} {_SAMPLING[place]}") for name in ENGINES),
        ("step", "trl", "train_step.py", f"--trainer trl {_STEP[place]}"),
        ("head", "all", "head.py", _HEAD[place]),
    ]
    return [
        Benchmark(what, whom, model, script, f"--model {model} {options}", packages.get(whom))
        for what, whom, script, options in kinds
        for model in models
    ]


def measured(
    chosen: list[Benchmark], scratch: Path, until: float, begun: Callable[[str], object]
) -> Iterator[dict[str, Any]]:
    """What each benchmark found, or the reason why it was ``left_out``; ``until``, of the monotonic clock, all are to end.

    Seconds by phase, bytes at the peak, and the shape and lengths that they belong to. ``begun`` is told of each what it is.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
    first = {"CUDA_VISIBLE_DEVICES": visible.split(",")[0]}
    for place, each in enumerate(chosen):
        about = {"what": each.what, "whom": each.whom, "model": each.model}
        left = until - time.monotonic()
        reason = each.missing() or ("no time was left" if left < _LEAST else None)
        if reason is None:
            begun(f"{each.what}, {each.whom}, {each.model}")
            out = scratch / f"{place}.json"
            command = [sys.executable, str(FOLDER / each.script), *each.options.split(), "--out", str(out)]
            reason = run(command, out.with_suffix(".log"), left, first)
        if reason:
            yield about | {"left_out": reason}
        else:
            yield from (about | found for found in _FOUND[each.what](read_json(out), each.whom))


def _step(record: dict[str, Any], whom: str) -> list[dict[str, Any]]:
    (step,) = record["steps"]
    seconds = {phase: step[whom]["seconds"][phase] for phase in ("score", "update", "total")}
    return [
        {
            "architecture": record["architecture"],
            "layers_of_model": record["layers_of_model"],
            "responses": step["rows"],
            "prompt_tokens": step["mean_prompt"],
            "response_tokens": step["mean"],
            "seconds": seconds,
            "peak_bytes": step[whom].get("peak_bytes"),
        }
    ]


def _sampling(record: dict[str, Any], whom: str) -> list[dict[str, Any]]:
    (model,) = record["models"]
    tokens = record["requests"] * record["response_tokens"]
    return [
        {
            "architecture": model["architecture"],
            "layers_of_model": model["architecture"]["layers"],
            "responses": record["requests"],
            "prompt_tokens": record["prompt_tokens"],
            "response_tokens": record["response_tokens"],
            "seconds": {"sample": tokens / model["tokens_per_second"][whom]},
            "peak_bytes": None,
        }
    ]


def _head(record: dict[str, Any], _: str) -> list[dict[str, Any]]:
    return [
        {
            "whom": case["peer"],
            "tokens": case["tokens"],
            "seconds": {phase: case[f"seconds_{phase}"] for phase in ("forward", "backward")},
            "peak_bytes": case["peak_bytes"],
        }
        for case in record["cases"]
    ]


_FOUND: dict[str, Callable[[dict[str, Any], str], list[dict[str, Any]]]] = {
    "step": _step,
    "sampling": _sampling,
    "head": _head,
}
