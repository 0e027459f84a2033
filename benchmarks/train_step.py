"""A training step of this package against one of TRL's ``GRPOTrainer``: the same work in one run, the two by turns.

``python benchmarks/train_step.py`` prints seconds by phase and writes them as JSON. Both start from the same weights and are given the same
prompts, the same responses of unequal length and the same rewards; both score the responses, then make the same number of AdamW updates of
the same loss (token mean over the minibatch, clipped at 0.2 and 0.28) on the same number of threads. Responses are scripted, so that
neither gains by what it happens to sample; sampling is timed apart, each with its own sampler and the embedded base.

Beside seconds, which depend on what else the machine does, ``places`` counts the tokens that went through the model, padding included:
that number is exact.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import typer
from datasets import Dataset
from machine import machine
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from tokencredit.base import load_policy
from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Config, EmbeddedModel, Recipe, load_study
from tokencredit.data.embedded import sample_problems
from tokencredit.engines import load_engine
from tokencredit.errors import UserError
from tokencredit.policy import Scorer
from tokencredit.prompts import prompt_of
from tokencredit.records import Request, Response, Rollout
from tokencredit.seeds import derive_seed
from tokencredit.train.metrics import token_metrics
from tokencredit.train.rollouts import RolloutBatch
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


def main(
    response: Annotated[list[int], typer.Option(help="Mean tokens of a response; may be repeated.")] = (32, 64, 128),
    shape: Annotated[list[Shape], typer.Option(help="Spread of lengths; may be repeated.")] = (Shape.RAGGED,),
    group_size: Annotated[list[int], typer.Option(help="Responses per prompt; may be repeated.")] = (8,),
    rows: Annotated[int, typer.Option(help="Responses of a step.")] = 256,
    updates: Annotated[int, typer.Option(help="Optimiser updates of a step.")] = 4,
    mixed: Annotated[list[float], typer.Option(help="Share of groups with both right and wrong responses.")] = (1.0,),
    trl_batch: Annotated[list[int], typer.Option(help="Rows of a micro-batch of TRL; may be repeated.")] = (16,),
    budget: Annotated[int, typer.Option(help="Tokens of a micro-batch of ours.")] = 2048,
    repeats: Annotated[int, typer.Option(help="Steps of each after one to warm up; medians count.")] = 3,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.")] = 2,
    base: Annotated[
        Path | None, typer.Option(help="Folder of the embedded base; without it sampling is not timed.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/train_step.json"),
) -> None:
    """Time both trainers on every combination of the settings."""
    torch.set_num_threads(threads)
    record: dict[str, Any] = {
        "threads": threads,
        "budget": budget,
        "repeats": repeats,
        "load": [os.getloadavg()[0]],
        "machine": machine("cpu", "trl"),
        "steps": [],
        "sampling": {},
    }
    for tokens, kind, group, share, batch in itertools.product(response, shape, group_size, mixed, trl_batch):
        setting = Setting(tokens, kind, group, rows, updates, share, batch)
        record["steps"].append(asdict(setting) | measure(setting, budget, repeats))
    if base is not None:
        record["sampling"] = sampling(base, rows, repeats)
    record["load"].append(os.getloadavg()[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"load {record['load'][0]:.1f} to {record['load'][1]:.1f} on {record['machine']['cores']} cores; made {out}")


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


def measure(setting: Setting, budget: int, repeats: int) -> dict[str, Any]:
    """Seconds and places of both by phase, and how long the responses are."""
    chosen = embedded()
    tokenizer = new_tokenizer(chosen)
    work = Work(setting, tokenizer, chosen.prompt)
    chosen = chosen.model_copy(update={"max_tokens": setting.longest + max(map(len, work.prompts))})
    ours = Ours(build_model(chosen, tokenizer), setting, budget)
    with trl_trainer(build_model(chosen, tokenizer), tokenizer, setting, work, 1 + repeats) as trainer:
        trainer.add_callback(Turns(trainer, ours, work, setting.updates))
        trainer.train()
    lengths = [len(response) for response in work.responses]
    return {
        "tokens": sum(lengths) + sum(map(len, work.prompts)),
        "mean": statistics.mean(lengths),
        "longest": max(lengths),
        "ours": ours.meter.medians(),
        "trl": trainer.meter.medians(),
    }


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
        started, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
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
        return result | {"all_seconds": [step["seconds"]["total"] for step in counted]}

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
        changed = {"prompts_per_update": groups, "micro_batch_tokens": budget}
        training = load_study("config", "toy").training.model_copy(update=changed)
        base = Recipe(
            clip_low=0.2, clip_high=0.28, kl_coef=0.0, aggregation="token-mean", dynamic_sampling=False, max_refills=0
        )
        self.updater = Updater(Scorer(model.train()), training, base)

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


class TimedTrainer(GRPOTrainer):
    """TRL's trainer with a meter: what it does without a gradient before the updates is scoring, or preparation."""

    meter: Meter

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        with self.meter.timed("prepare"):
            return super()._generate_and_score_completions(inputs)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **named: Any) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(*arguments, **named)
        with self.meter.timed("score"):
            return super()._get_per_token_logps_and_entropies(*arguments, **named)


class Turns(TrainerCallback):
    """After each of TRL's steps, ``updates`` of its optimiser's, one of ours; what is not ours is TRL's."""

    def __init__(self, trainer: TimedTrainer, ours: Ours, work: Work, updates: int) -> None:
        self.meter, self.ours, self.work, self.updates = trainer.meter, ours, work, updates
        self.running = contextlib.ExitStack()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.running.enter_context(self.meter.timed("update"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.updates == 0:
            self.running.close()
            self.meter.stop()
            self.ours.step(self.work)
            self.running.enter_context(self.meter.timed("update"))


@contextlib.contextmanager
def trl_trainer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, setting: Setting, work: Work | None, steps: int
) -> Iterator[TimedTrainer]:
    """A trainer that is given the responses of ``work``, or samples for itself where there is none."""
    micro_batches = setting.rows // setting.updates // setting.trl_batch

    def scripted(prompts: list[str], _: GRPOTrainer) -> dict[str, Any]:
        if prompts != [text for text in work.texts for _ in range(setting.group_size)]:
            raise AssertionError("TRL asks for other prompts than ours are trained on")
        return {"prompt_ids": work.prompts, "completion_ids": work.responses, "logprobs": None}

    def reward(completions: list[str], **_: Any) -> list[float]:
        return work.rewards if work else [0.0] * len(completions)

    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedTrainer(
            model,
            reward,
            GRPOConfig(
                folder,
                max_steps=setting.updates * steps,
                num_generations=setting.group_size,
                per_device_train_batch_size=setting.trl_batch,
                gradient_accumulation_steps=micro_batches,
                steps_per_generation=micro_batches * setting.updates,
                max_completion_length=setting.longest,
                loss_type="dapo",
                epsilon=0.2,
                epsilon_high=0.28,
                learning_rate=2e-4,
                lr_scheduler_type="constant",
                shuffle_dataset=False,
                use_cpu=True,
                bf16=False,
                activation_checkpointing=False,
                logging_steps=10**6,
                disable_tqdm=True,
                save_strategy="no",
                report_to="none",
            ),
            train_dataset=Dataset.from_dict({"prompt": work.texts if work else ["?"]}),
            processing_class=tokenizer,
            rollout_func=scripted if work else None,
        )
        trainer.meter = Meter(model)
        yield trainer


def sampling(base: Path, rows: int, repeats: int, group_size: int = 8, limit: int = 64) -> dict[str, dict[str, float]]:
    """Seconds of each sampler for ``rows`` responses of the base, of at most ``limit`` tokens, and how many tokens it sampled."""
    setting = Setting(limit, Shape.EQUAL, group_size, rows, 1, 1.0, rows)
    chosen = embedded()
    tokenizer = new_tokenizer(chosen)
    work = Work(setting, tokenizer, chosen.prompt)
    engine = load_engine("transformers", load_policy(base), tokenizer)
    timed: dict[str, list[tuple[float, int]]] = {"ours": [], "trl": []}
    with trl_trainer(load_policy(base), tokenizer, setting, None, 1) as trainer:
        for repeat in range(1 + repeats):
            seeds = [derive_seed("step", repeat, row) for row in range(rows)]
            requests = [Request(prompt, seed) for prompt, seed in zip(work.prompts, seeds, strict=True)]
            started = time.perf_counter()
            responses = engine.sample(requests, temperature=1.0, top_p=1.0, max_tokens=limit)
            between = time.perf_counter()
            completions, _ = trainer._generate_single_turn(work.prompts, None, {}, group_size)
            ended = time.perf_counter()
            timed["ours"].append((between - started, sum(len(response.token_ids) for response in responses)))
            timed["trl"].append((ended - between, sum(map(len, completions))))
    return {
        name: {
            "seconds": statistics.median(seconds for seconds, _ in steps[1:]),
            "tokens": statistics.median(tokens for _, tokens in steps[1:]),
        }
        for name, steps in timed.items()
    }


def embedded() -> EmbeddedModel:
    return cast(EmbeddedModel, Config("config").models["embedded-1m"])


def show(record: dict[str, Any]) -> None:
    title = "A training step: seconds of ours, of TRL's, and the first as a share of the second"
    table = Table("tokens", "lengths", "G", "mixed", "TRL's rows", "padding", "TRL's", *PHASES, title=title)
    for step in record["steps"]:
        cells = [step[key] for key in ("response", "shape", "group_size", "mixed", "trl_batch")]
        cells += [f"{1 - step['tokens'] / step[name]['places']['score']:.0%}" for name in ("ours", "trl")]
        for phase in PHASES:
            ours, theirs = (step[name]["seconds"][phase] for name in ("ours", "trl"))
            cells.append(f"{ours:.2f} / {theirs:.2f} {ours / theirs:.0%}")
        table.add_row(*map(str, cells))
    console = Console(width=int(os.environ.get("COLUMNS", "140")))
    console.print(table)
    for name, timed in record["sampling"].items():
        seconds, tokens = timed["seconds"], timed["tokens"]
        console.print(f"sampling, {name}: {tokens:.0f} tokens in {seconds:.2f} s, {tokens / seconds:.0f} per second")


if __name__ == "__main__":
    typer.run(main)
