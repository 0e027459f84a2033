"""What the tests of the second device run in a process of its own: ``python -m tests.train.on_second_device <file>``."""

from __future__ import annotations
import __future__

import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.models import tiny_qwen3
from tests.second_device import NAME, waits
from tests.train.in_processes import moving_model, updates
from tests.train.test_update import batch, training
from tokencredit.policy import Scorer
from tokencredit.policy.head import token_stats
from tokencredit.policy.packing import Layout
from tokencredit.train.processes import ALONE, Processes
from tokencredit.train.sharding import trained_scorer
from tokencredit.train.update import Updater

# A head tied and untied, credit of every update, an adapter, ratios restricted to what could be drawn.
CASES = ("eapo", "eapo-untied", "forking", "grpo-lora", "grpo-nucleus")
FAR = Processes(device=torch.device(NAME))

# One line of the step made wrong, as only a GPU would show it: the function, what stands there, and what stands there instead.
PLANTS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "a number for each token on the CPU": (token_stats, "dtype=dtype, device=hidden.device", "dtype=dtype"),
    "places in a pass on the CPU": (
        Layout.predicting,
        "self._rows, self._before",
        "self._rows, self._before.cpu()",
    ),
    "log-probs that stay for the loss": (Updater.update, "log_ratio = logprob.cpu(),", "log_ratio = logprob,"),
    "states in another precision": (token_stats, "hidden.to(dtype) / temperatures", "hidden.float() / temperatures"),
    "a value to look at": (
        Scorer.forward,
        "    stats = token_stats(",
        "    float(states.sum())\n    stats = token_stats(",
    ),
}


@cache
def on_cpu(name: str) -> dict[str, Any]:
    """What the same gives on the CPU: asked for first before anything is planted."""
    return done(name, ALONE)


def done(name: str, processes: Processes) -> dict[str, Any]:
    """An update, what waited in it, and a scoring pass."""
    waits.clear()
    found = {**updates(name, processes), "waits": dict(waits)}
    sequences, _ = batch(Scorer(tiny_qwen3()))
    scorer = trained_scorer(moving_model(name), training(), processes)
    return {**found, "scores": processes.score(scorer, sequences, 40)}


def compared(name: str) -> dict[str, Any]:
    """The largest differences between the device and the CPU, and what waited."""
    alone, far = on_cpu(name), done(name, FAR)
    return {
        "metrics": distance(far["metrics"].values(), alone["metrics"].values()),
        "gradient": distance(far["gradient"], alone["gradient"]),
        "weights": distance(far["weights"].values(), alone["weights"].values()),
        "scores": distance(far["scores"], alone["scores"]),
        "waits": far["waits"],
    }


def distance(some: Any, others: Any) -> float:
    pairs = [(each, other) for each, other in zip(some, others, strict=True) if other is not None]
    return max(float((torch.as_tensor(each).cpu() - torch.as_tensor(other)).abs().max()) for each, other in pairs)


@contextmanager
def planted(function: Callable[..., Any], old: str, new: str) -> Iterator[None]:
    """``function`` with ``new`` in place of ``old``, wherever it was imported already."""
    text, before = textwrap.dedent(inspect.getsource(function)), function.__code__
    assert text.count(old) == 1, f"{function.__qualname__} does not hold {old!r} once"
    code = compile(text.replace(old, new), before.co_filename, "exec", __future__.annotations.compiler_flag)
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)
    function.__code__ = made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


def with_plant(name: str) -> dict[str, Any]:
    on_cpu("eapo-untied")
    try:
        with planted(*PLANTS[name]):
            return compared("eapo-untied")
    except (RuntimeError, TypeError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    found = {"cases": {name: compared(name) for name in CASES}, "plants": {name: with_plant(name) for name in PLANTS}}
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
