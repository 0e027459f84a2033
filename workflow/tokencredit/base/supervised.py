"""Supervised training on prompts with solutions: of an embedded model from random weights, or of a released one before RL.

The same text for both: who calls gives the model, the examples and what computes the loss of a batch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tokencredit.seeds import derive_seed

# Settings that no study varies.
_BETAS = (0.9, 0.98)
_GRAD_CLIP = 1.0
_FINAL_LEARNING_RATE = 0.02  # of the peak
# Batches are cut from pools of this many batches sorted by length: little padding, and still a mixture of all lengths in each pool.
_POOL_BATCHES = 16


@dataclass(frozen=True)
class Example:
    """A prompt and a solution with its end-of-sequence token, as ids."""

    prompt: list[int]
    solution: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.solution)


class Schedule(Protocol):
    """How long and how fast is learned: ``steps`` updates on ``batch`` examples each."""

    @property
    def seed(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup_steps(self) -> int: ...
    @property
    def weight_decay(self) -> float: ...


def new_optimizer(model: nn.Module, schedule: Schedule) -> Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=schedule.learning_rate, betas=_BETAS, weight_decay=schedule.weight_decay
    )


def updates(
    model: nn.Module,
    optimizer: Optimizer,
    examples: list[Example],
    schedule: Schedule,
    losses: Callable[[list[Example]], Iterable[Tensor]],
    done: int = 0,
) -> Iterator[dict[str, Any]]:
    """Update ``model`` once for each batch after the first ``done``; a record of each: step, loss, learning_rate, grad_norm, tokens.

    ``losses`` gives the summed cross-entropies (nats) of the solution tokens of a batch, part by part. The loss is their sum divided by
    the mean number of solution tokens of a batch, not by each batch's own: a batch holds texts of similar length, and by its own mean
    short solutions would weigh more than long ones. The order of examples follows from the seed alone.
    """
    normaliser = schedule.batch * sum(len(example.solution) for example in examples) / len(examples)
    tokens = 0
    for step, batch in enumerate(batches(examples, schedule), start=1):
        tokens += sum(map(len, batch))
        if step <= done:
            continue
        rate = learning_rate(step, schedule)
        for group in optimizer.param_groups:
            group["lr"] = rate
        total = 0.0
        for part in losses(batch):
            loss = part / normaliser
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), _GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()
        yield {"step": step, "loss": total, "learning_rate": rate, "grad_norm": norm.item(), "tokens": tokens}


def learning_rate(step: int, schedule: Schedule) -> float:
    """Linear warm-up to the peak, then half a cosine down to a fiftieth of it; ``step`` counts from 1."""
    if step <= schedule.warmup_steps:
        return schedule.learning_rate * step / schedule.warmup_steps
    share = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return schedule.learning_rate * (
        _FINAL_LEARNING_RATE + (1 - _FINAL_LEARNING_RATE) * (1 + math.cos(math.pi * share)) / 2
    )


def batches(examples: list[Example], schedule: Schedule) -> Iterator[list[Example]]:
    """``schedule.steps`` batches of examples of similar length; every example comes once before any comes again."""
    left, epoch = schedule.steps, 0
    while True:
        rng = random.Random(derive_seed("embedded batches", schedule.seed, epoch))
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), schedule.batch * _POOL_BATCHES):
            pool = sorted(order[start : start + schedule.batch * _POOL_BATCHES], key=len)
            cut = [pool[index : index + schedule.batch] for index in range(0, len(pool), schedule.batch)]
            for batch in rng.sample(cut, len(cut)):
                yield batch
                left -= 1
                if left == 0:
                    return
        epoch += 1
