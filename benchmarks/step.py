"""What the benchmark of a training step gives both trainers to do, how it takes the time, and this package's step."""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from shapes import DEVICE, PRECISION, wait
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.config import Recipe, load_study
from tokencredit.data.embedded import sample_problems
from tokencredit.errors import UserError
from tokencredit.prompts import prompt_of
from tokencredit.records import Response, Rollout
from tokencredit.train.metrics import token_metrics
from tokencredit.train.processes import Processes
from tokencredit.train.rollouts import RolloutBatch
from tokencredit.train.sharding import trained_scorer
from tokencredit.train.update import Credit, Updater

PHASES = ("prepare", "score", "update", "total")


class Shape(StrEnum):
    """How the lengths of responses are spread around their mean."""

    RAGGED = "ragged"  # log-normal, up to 4 times the mean
    UNIFORM = "uniform"  # from 1 to twice the mean
    EQUAL = "equal"


@dataclass(frozen=True)
class Setting:
    """One step: ``rows`` responses in groups of ``group_size``, ``updates`` optimiser updates."""

    response: int  # mean tokens
    shape: Shape
    group_size: int
    rows: int
    updates: int
    mixed: float  # share of groups with right and wrong responses: the others have no advantage
    trl_batch: int  # rows of a micro-batch of TRL

    def __post_init__(self) -> None:
        for part in (self.group_size * self.updates, self.trl_batch * self.updates):
            if self.rows % part:
                raise UserError(f"{self}: rows must be a multiple of updates x group_size and of updates x trl_batch.")

    @property
    def longest(self) -> int:
        """The limit on response tokens."""
        return {Shape.RAGGED: 4, Shape.UNIFORM: 2, Shape.EQUAL: 1}[self.shape] * self.response


class Work:
    """The prompts of one step, their scripted responses and rewards, group after group."""

    def __init__(self, setting: Setting, tokenizer: PreTrainedTokenizerBase, template: str) -> None:
        rng = random.Random(0)
        problems = sample_problems([1, 2, 3], rows=setting.rows // setting.group_size, seed=0, split="train")
        self.texts = [prompt_of(template, problem.text) for problem in problems]
        self.group_size = setting.group_size
        self.prompts, self.responses, self.rewards = [], [], []
        for place, tokens in enumerate(tokenizer(self.texts).input_ids):
            mixed = int((place + 1) * setting.mixed) > int(place * setting.mixed)
            for sample in range(setting.group_size):
                length = response_length(setting, rng)
                self.prompts.append(tuple(tokens))
                self.responses.append((*rng.choices(range(len(tokenizer)), k=length - 1), tokenizer.eos_token_id))
                self.rewards.append(1.0 if mixed and sample % 2 else -1.0)

    def groups(self) -> list[list[Rollout]]:
        rows = zip(self.prompts, self.responses, self.rewards, strict=True)
        rollouts = [
            Rollout("", row, prompt, Response("", response, "stop"), "right" if reward > 0 else "wrong", reward)
            for row, (prompt, response, reward) in enumerate(rows)
        ]
        return [rollouts[start : start + self.group_size] for start in range(0, len(rollouts), self.group_size)]


def response_length(setting: Setting, rng: random.Random, deviation: float = 0.6) -> int:
    if setting.shape is Shape.EQUAL:
        return setting.response
    if setting.shape is Shape.UNIFORM:
        return rng.randint(1, 2 * setting.response)
    length = rng.lognormvariate(math.log(setting.response) - deviation**2 / 2, deviation)
    return max(1, min(setting.longest, round(length)))


class Meter:
    """Seconds and places of each phase, step after step; the first step is not counted."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.phase: str | None = None
        self._steps: list[dict[str, dict[str, float]]] = []
        self._start()
        model.get_decoder().register_forward_pre_hook(self._count, with_kwargs=True)

    def _start(self) -> None:
        self._now = {"seconds": defaultdict(float), "cpu_seconds": defaultdict(float), "places": defaultdict(int)}

    def stop(self) -> None:
        for values in self._now.values():
            values["total"] = sum(values.values())
        self._steps.append(self._now)
        self._start()

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """What runs in here belongs to ``phase``, and to no phase around it."""
        outer, self.phase = self.phase, phase
        wait()
        started, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            wait()
            self.phase = outer
            for kind, spent in (("seconds", time.perf_counter() - started), ("cpu_seconds", time.process_time() - cpu)):
                self._now[kind][phase] += spent
                if outer:
                    self._now[kind][outer] -= spent

    def medians(self) -> dict[str, Any]:
        counted = self._steps[1:]
        result = {
            kind: {phase: statistics.median(step[kind][phase] for step in counted) for phase in PHASES}
            for kind in ("seconds", "cpu_seconds", "places")
        }
        peak = {"peak_bytes": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {}
        return result | peak | {"all_seconds": [step["seconds"]["total"] for step in counted]}

    def _count(self, _: Any, arguments: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"] if "input_ids" in named else arguments[0]
        if self.phase:
            self._now["places"][self.phase] += ids.numel()


class Ours:
    """The learning half of this package's training step, as its loop runs it."""

    def __init__(self, model: PreTrainedModel, setting: Setting, budget: int) -> None:
        self.meter = Meter(model)
        self.budget = budget
        groups = setting.rows // setting.group_size // setting.updates
        changed = {"prompts_per_update": groups, "micro_batch_tokens": budget, "mixed_precision": PRECISION}
        training = load_study("config", "toy").training.model_copy(update=changed)
        base = Recipe(
            clip_low=0.2, clip_high=0.28, kl_coef=0.0, aggregation="token-mean", dynamic_sampling=False, max_refills=0
        )
        processes = Processes(device=torch.device(DEVICE))
        self.updater = Updater(trained_scorer(model.train(), training, processes), training, base, processes)

    def step(self, work: Work) -> None:
        with self.meter.timed("prepare"):
            batch = RolloutBatch(work.groups())
        with self.meter.timed("score"):
            old_logprob, entropy = self.updater.scorer.score(batch.sequences, self.budget)
        with self.meter.timed("prepare"):
            signals = batch.signals(old_logprob, entropy)
        with self.meter.timed("update"):
            _, credit = self.updater.step(10, batch.sequences, signals, Credit("grpo", {}))
        with self.meter.timed("prepare"):
            token_metrics(signals, credit)
        self.meter.stop()
