"""Jobs that do not fit in memory, and changes that would make them fit. Each change is tried before it is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from tokencredit.cost.memory import (
    Memory,
    SamplerSetup,
    TrainingSetup,
    generation_memory,
    least_pool,
    rows_that_fit,
    training_memory,
)
from tokencredit.cost.quantity import Quantity, given

_MOST_GPUS = 64
_POOL = "weights and one longest sequence"
_TOKENS = 1024  # micro-batches are tried in steps of so many tokens


@dataclass(frozen=True)
class Shortfall:
    """A phase of a job that needs more bytes than its place has; ``remedies``: changes of which each by itself makes that phase fit."""

    phase: str
    place: Literal["GPU", "process", "vLLM's share"]
    needs: Quantity
    room: Quantity
    remedies: tuple[str, ...]


def training_shortfalls(
    setup: TrainingSetup, memory: Memory, room: Quantity, device: float, vllm: SamplerSetup
) -> tuple[Shortfall, ...]:
    """What of a training run does not fit in ``room`` bytes of a GPU with ``device`` bytes in all, or of a process.

    ``vllm``: how it would sample with that engine.
    """
    found = _pool_shortfalls(setup.sampler, _larger_pool(setup.sampler, device))
    for phase in _too_large(memory, room):

        def fits(other: TrainingSetup, phase: str = phase) -> bool:
            return training_memory(other).needs(phase).value <= room.value

        beside = room.value - memory.always.value
        remedies = _fewer_rows(setup.sampler, phase, beside)
        if phase in ("prefill", "decoding"):
            remedies += _other_engine(vllm, beside, device)
        if phase == "sampling":
            remedies += _smaller_pool(setup.sampler, beside, device)
        if phase in ("update", "attention maps", "all phases"):
            remedies += _smaller_passes(setup, fits)
        place = "GPU" if setup.on_gpu else "process"
        found.append(Shortfall(phase, place, memory.needs(phase), room, (*remedies, *_more_gpus(setup, fits))))
    return tuple(found)


def generation_shortfalls(
    setup: SamplerSetup, memory: Memory, room: Quantity, vllm: SamplerSetup, on_gpu: bool
) -> tuple[Shortfall, ...]:
    """The same of a job that only samples."""
    beside, place = room.value - memory.always.value, "GPU" if on_gpu else "process"
    other = setup.pool is None and least_pool(vllm) <= vllm.pool.value <= room.value
    engine = ["evaluation.engine = vllm"] if other else []
    found = _pool_shortfalls(setup, [])
    for phase in _too_large(memory, room):
        remedies = (*_fewer_rows(setup, phase, beside), *engine)
        found.append(Shortfall(phase, place, memory.needs(phase), room, remedies))
    return tuple(found)


def _too_large(memory: Memory, room: Quantity) -> list[str]:
    return [phase for phase in memory.phases if memory.needs(phase).value > room.value]


def _pool_shortfalls(setup: SamplerSetup, remedies: list[str]) -> list[Shortfall]:
    """vLLM's share may be too small for what it has to hold."""
    if setup.pool is None or (least := least_pool(setup)) <= setup.pool.value:
        return []
    return [Shortfall(_POOL, "vLLM's share", given(least), setup.pool, tuple(remedies))]


def _larger_pool(setup: SamplerSetup, device: float) -> list[str]:
    share = math.ceil(100 * least_pool(setup) / device) / 100 if device else 2
    return [f"training.engine_memory = {share:g}"] if share <= 1 else []


def _smaller_pool(setup: SamplerSetup, room: float, device: float) -> list[str]:
    share = math.floor(100 * room / device) / 100 if device else 0
    return [f"training.engine_memory = {share:g}"] if share * device >= least_pool(setup) else []


def _other_engine(vllm: SamplerSetup, room: float, device: float) -> list[str]:
    if least_pool(vllm) <= vllm.pool.value <= room:
        return ["training.engine = vllm"]
    return [f"training.engine = vllm with {share}" for share in _smaller_pool(vllm, room, device)]


def _fewer_rows(setup: SamplerSetup, phase: str, room: float) -> list[str]:
    rows = rows_that_fit(setup, room) if phase == "decoding" else 0
    if phase == "prefill":
        each = setup.rows.value / setup.prompts
        fewer = (prompts for prompts in range(setup.prompts - 1, 0, -1) if _reads(setup, prompts, room))
        rows = int(next(fewer, 0) * each)
    return [f"at most {rows} responses decoded together"] if rows else []


def _reads(setup: SamplerSetup, prompts: int, room: float) -> bool:
    """Whether so many prompts can be read at once in ``room`` bytes beside what always lies there."""
    memory = generation_memory(replace(setup, prompts=prompts), given(0), on_gpu=True)
    return memory.needs("prefill").value - memory.always.value <= room


def _smaller_passes(setup: TrainingSetup, fits: Callable[[TrainingSetup], bool]) -> list[str]:
    """Fewer tokens in a micro-batch, gradient checkpointing, or both where neither is enough."""
    remedies = []
    fewer = _tokens_that_fit(setup, fits)
    if fewer:
        remedies.append(f"training.micro_batch_tokens = {fewer}")
    if not setup.checkpointing:
        again = replace(setup, checkpointing=True)
        if fits(again):
            remedies.append("training.gradient_checkpointing = true")
        elif not fewer and (tokens := _tokens_that_fit(again, fits)):
            remedies.append(f"training.gradient_checkpointing = true with training.micro_batch_tokens = {tokens}")
    return remedies


def _tokens_that_fit(setup: TrainingSetup, fits: Callable[[TrainingSetup], bool]) -> int:
    """The largest micro-batch, a multiple of 1,024 tokens, that holds the longest sequence; 0 where there is none."""
    smallest = -(-setup.longest // _TOKENS) * _TOKENS
    sizes = range(smallest, setup.tokens, _TOKENS)
    return max((size for size in sizes if fits(replace(setup, tokens=size))), default=0)


def _more_gpus(setup: TrainingSetup, fits: Callable[[TrainingSetup], bool]) -> list[str]:
    counts = [setup.processes * 2**times for times in range(1, 7)] if setup.on_gpu else []
    enough = [count for count in counts if count <= _MOST_GPUS and fits(replace(setup, processes=count))]
    return [f"{enough[0]} GPUs"] if enough else []
