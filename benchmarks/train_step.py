"""A training step of this package against one of TRL's ``GRPOTrainer``: the same work in one run, the two by turns.

``python benchmarks/train_step.py`` prints seconds by phase and writes them as JSON. Both start from random weights and are given the same
prompts, the same responses of unequal length and the same rewards; both score the responses, then make the same number of AdamW updates of
the same loss (token mean over the minibatch, clipped at 0.2 and 0.28) on the same number of threads. Responses are scripted, so that
neither gains by what it happens to sample; sampling is timed apart, each with its own sampler and the embedded base.

Where there is a GPU the first is taken, with passes in bfloat16, and of a model that is too large as many layers as fit. ``--trainer``
times one of the two alone: a model that fits once may not fit twice.

Beside seconds, which depend on what else the machine does, ``places`` counts the tokens that went through the model, padding included:
that number is exact.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import typer
from rich.console import Console
from rich.table import Table
from shapes import DEVICE, PRECISION, fitting, random_model, shape_of
from step import PHASES, Ours, Setting, Shape, Work

from tokencredit.base import load_policy
from tokencredit.base.pretrain import new_tokenizer
from tokencredit.config import Architecture, Config, EmbeddedModel
from tokencredit.engines import load_engine
from tokencredit.errors import UserError
from tokencredit.records import Request
from tokencredit.seeds import derive_seed
from tokencredit.tools.node.machine import machine


class Trainer(StrEnum):
    """Whose step is timed."""

    BOTH = "both"
    OURS = "ours"
    TRL = "trl"


def main(
    model: Annotated[
        str, typer.Option(help="Name of a model in config/models.yaml; its weights are random.")
    ] = "embedded-1m",
    trainer: Annotated[Trainer, typer.Option(help="Whose step is timed.")] = Trainer.BOTH,
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
    """Time the trainers on every combination of the settings."""
    torch.set_num_threads(threads)
    whole = shape_of(model)
    architecture = fitting(whole, 2 if trainer is Trainer.BOTH else 1)
    record: dict[str, Any] = {
        "model": model,
        "layers_of_model": whole.layers,
        "architecture": architecture.model_dump(),
        "precision": PRECISION,
        "threads": threads,
        "budget": budget,
        "repeats": repeats,
        "load": [os.getloadavg()[0]],
        "machine": machine(DEVICE, *(["trl"] if trainer is not Trainer.OURS else [])),
        "steps": [],
        "sampling": {},
    }
    for tokens, kind, group, share, batch in itertools.product(response, shape, group_size, mixed, trl_batch):
        setting = Setting(tokens, kind, group, rows, updates, share, batch)
        record["steps"].append(asdict(setting) | measure(setting, architecture, trainer, budget, repeats))
    if base is not None:
        record["sampling"] = sampling(base, rows, repeats)
    record["load"].append(os.getloadavg()[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"load {record['load'][0]:.1f} to {record['load'][1]:.1f} on {record['machine']['cores']} cores; made {out}")


def measure(
    setting: Setting, architecture: Architecture, trainer: Trainer, budget: int, repeats: int
) -> dict[str, Any]:
    """Seconds and places of each trainer by phase, and how long prompts and responses are."""
    tokenizer = new_tokenizer(embedded())
    work = Work(setting, tokenizer, embedded().prompt)
    longest = setting.longest + max(map(len, work.prompts))
    found: dict[str, Any] = {}
    ours = None
    if trainer is not Trainer.TRL:
        ours = Ours(random_model(architecture, longest, end=tokenizer.eos_token_id), setting, budget)
    if trainer is not Trainer.OURS:
        from trl_step import Turns, trl_trainer

        model = random_model(architecture, longest, end=tokenizer.eos_token_id)
        with trl_trainer(model, tokenizer, setting, work, 1 + repeats) as theirs:
            theirs.add_callback(Turns(theirs, ours, work, setting.updates))
            theirs.train()
        found["trl"] = theirs.meter.medians()
    elif ours:
        for _ in range(1 + repeats):
            ours.step(work)
    if ours:
        found["ours"] = ours.meter.medians()
    lengths, prompts = [len(response) for response in work.responses], sum(map(len, work.prompts))
    return {
        "tokens": sum(lengths) + prompts,
        "mean": statistics.mean(lengths),
        "mean_prompt": prompts / len(lengths),
        "longest": max(lengths),
        **found,
    }


def sampling(base: Path, rows: int, repeats: int, group_size: int = 8, limit: int = 64) -> dict[str, dict[str, float]]:
    """Seconds of each sampler for ``rows`` responses of the base, of at most ``limit`` tokens, and how many tokens it sampled."""
    from trl_step import trl_trainer

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
        timed = {name: step[name] for name in ("ours", "trl") if name in step}
        cells = [step[key] for key in ("response", "shape", "group_size", "mixed", "trl_batch")]
        cells += [
            f"{1 - step['tokens'] / timed[name]['places']['score']:.0%}" if name in timed else ""
            for name in ("ours", "trl")
        ]
        for phase in PHASES:
            seconds = [each["seconds"][phase] for each in timed.values()]
            share = f" {seconds[0] / seconds[1]:.0%}" if seconds[1:] else ""
            cells.append(" / ".join(f"{each:.2f}" for each in seconds) + share)
        table.add_row(*map(str, cells))
    console = Console(width=int(os.environ.get("COLUMNS", "140")))
    console.print(table)
    for name, timed in record["sampling"].items():
        seconds, tokens = timed["seconds"], timed["tokens"]
        console.print(f"sampling, {name}: {tokens:.0f} tokens in {seconds:.2f} s, {tokens / seconds:.0f} per second")


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
