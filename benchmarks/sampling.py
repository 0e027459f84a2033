"""What sampling costs: the engines on the same requests, by the size of the model, in one run.

``python benchmarks/sampling.py`` in an environment with vLLM (``make test-vllm`` makes one in ``.venv-vllm``) prints tokens per second and
their ratio, and writes them as JSON. The models are random and end no response, so that every engine makes the same number of tokens. Where
there is a GPU the first is taken, and bfloat16.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from shapes import DEVICE, PRECISION, random_model, shape_of, wait
from transformers import PreTrainedModel

from tokencredit.config import Architecture
from tokencredit.engines import ENGINES, Engine, load_engine
from tokencredit.engines.weights import plain_weights
from tokencredit.records import Request
from tokencredit.seeds import derive_seed, generator
from tokencredit.tools.node.machine import machine

VOCABULARY, PROMPT_VOCABULARY = 195, 100  # the second is part of every model's
# Hidden size, layers and intermediate size: 0.9, 5 and 19 million parameters.
SHAPES = ((128, 4, 384), (256, 6, 768), (384, 8, 1536))
DTYPE = {"no": torch.float32, "bf16": torch.bfloat16}[PRECISION]


class Numbers:
    """What an engine needs of a tokenizer whose texts nobody reads; nothing ends a response."""

    eos_token_id = None

    def decode(self, ids: tuple[int, ...], **_: object) -> str:
        return ""


def main(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model in config/models.yaml; may be repeated. Else three small ones."),
    ] = None,
    engine: Annotated[list[str], typer.Option(help="Engine to time; may be repeated.")] = ENGINES,
    prompts: Annotated[int, typer.Option(help="Prompts.")] = 8,
    samples: Annotated[int, typer.Option(help="Responses per prompt.")] = 8,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens of a prompt.")] = 64,
    tokens: Annotated[int, typer.Option(help="Tokens of a response.")] = 128,
    repeats: Annotated[int, typer.Option(help="Timed runs of each engine; the median counts.")] = 5,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/sampling.json"),
) -> None:
    """Time the engines on each model, in turns, after one run that is not counted."""
    requests = some_requests(prompts, samples, prompt_tokens)
    load_before = os.getloadavg()[0]
    models = []
    for shape in [shape_of(name) for name in model] if model else [small(*each) for each in SHAPES]:
        policy = random_model(shape, prompt_tokens + tokens, DTYPE).eval()
        models.append(
            {"architecture": shape.model_dump(), "parameters": policy.num_parameters()}
            | measure(policy, requests, tokens, repeats, engine)
        )
    record = {
        "requests": len(requests),
        "prompts": prompts,
        "prompt_tokens": prompt_tokens,
        "response_tokens": tokens,
        "threads": torch.get_num_threads(),
        "precision": PRECISION,
        "models": models,
        "load_before_and_after": [load_before, os.getloadavg()[0]],
        "machine": machine(DEVICE),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"made {out}")


def some_requests(prompts: int, samples: int, length: int) -> list[Request]:
    texts = [
        tuple(generator("benchmark", index).integers(0, PROMPT_VOCABULARY, length).tolist()) for index in range(prompts)
    ]
    return [Request(text, derive_seed("benchmark", text[0], k)) for text in texts for k in range(samples)]


def small(hidden: int, layers: int, intermediate: int) -> Architecture:
    """A Qwen3 with a tied head and heads of 32 channels."""
    return Architecture(
        family="qwen3",
        hidden_size=hidden,
        layers=layers,
        heads=hidden // 32,
        kv_heads=hidden // 32,
        head_size=32,
        intermediate_size=intermediate,
        vocabulary=VOCABULARY,
        tied_head=True,
    )


def measure(
    model: PreTrainedModel, requests: list[Request], tokens: int, repeats: int, names: list[str]
) -> dict[str, object]:
    """Tokens per second of each engine and their ratio, and what vLLM's own copy of the weights costs: seconds to start and of a push.

    The engines take turns, so that other work on the machine slows both.
    """
    longest = len(requests[0].prompt_tokens) + tokens
    own: dict[str, dict[str, object]] = {"vllm": {"longest": longest, "batch_size": len(requests), "dtype": DTYPE}}
    engines, starts = {}, {}
    for name in names:
        started = time.perf_counter()
        engines[name] = load_engine(name, model, Numbers(), **own.get(name, {}))
        starts[name] = time.perf_counter() - started
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for repeat in range(1 + repeats):
        for name, engine in engines.items():
            spent = timed(lambda engine=engine: sample(engine, requests, tokens))
            if repeat:
                seconds[name].append(spent)
    found: dict[str, object] = {
        "tokens_per_second": {
            name: len(requests) * tokens / statistics.median(values) for name, values in seconds.items()
        }
    }
    if mirror := engines.get("vllm"):
        pushes = [timed(lambda: mirror.push_weights(plain_weights(model))) for _ in range(repeats)]
        mirror.close()
        found |= {"seconds_start": starts["vllm"], "seconds_push": statistics.median(pushes)}
    if len(engines) == len(ENGINES):
        ratios = [slow / fast for slow, fast in zip(seconds["transformers"], seconds["vllm"], strict=True)]
        found |= {"vllm_over_transformers": statistics.median(ratios)}
    return found


def sample(engine: Engine, requests: list[Request], tokens: int) -> None:
    responses = engine.sample(requests, temperature=1.0, top_p=1.0, max_tokens=tokens)
    assert all(len(response.logprobs) == tokens for response in responses)


def timed(run: Callable[[], object]) -> float:
    wait()
    started = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - started


def show(record: dict) -> None:
    title = (
        f"{record['requests']} responses of {record['response_tokens']} tokens to {record['prompts']} prompts of "
        f"{record['prompt_tokens']}: tokens per second ({record['threads']} threads)"
    )
    table = Table("parameters", *ENGINES, "ratio", "start, s", "push, ms", title=title)
    for model in record["models"]:
        speeds = model["tokens_per_second"]
        ratio, start, push = (model.get(key) for key in ("vllm_over_transformers", "seconds_start", "seconds_push"))
        table.add_row(
            f"{model['parameters'] / 1e6:.2f} M",
            *(f"{speeds[name]:,.0f}" if name in speeds else "" for name in ENGINES),
            f"{ratio:.2f}" if ratio else "",
            f"{start:.1f}" if start else "",
            f"{1000 * push:.0f}" if push else "",
        )
    Console(width=int(os.environ.get("COLUMNS", "100"))).print(table)


if __name__ == "__main__":
    typer.run(main)
