"""What sampling costs: the engines on the same requests, by the size of the model, in one run.

``python benchmarks/sampling.py`` in an environment with vLLM (``make test-vllm`` makes one in ``.venv-vllm``) prints tokens per second and
their ratio, and writes them as JSON. The models are random and end no response, so that every engine makes the same number of tokens.
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
from machine import machine
from rich.console import Console
from rich.table import Table
from transformers import Qwen3Config, Qwen3ForCausalLM

from tokencredit.engines import ENGINES, Engine, load_engine
from tokencredit.engines.weights import plain_weights
from tokencredit.records import Request
from tokencredit.seeds import derive_seed, generator

VOCABULARY = 195
# Hidden size, layers and intermediate size: 0.9, 5 and 19 million parameters.
SHAPES = ((128, 4, 384), (256, 6, 768), (384, 8, 1536))


class Numbers:
    """What an engine needs of a tokenizer whose texts nobody reads; nothing ends a response."""

    eos_token_id = None

    def decode(self, ids: tuple[int, ...], **_: object) -> str:
        return ""


def main(
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
    for shape in SHAPES:
        model = random_model(*shape, longest=prompt_tokens + tokens)
        models.append(
            {"shape": shape, "parameters": model.num_parameters()} | measure(model, requests, tokens, repeats)
        )
    record = {
        "requests": len(requests),
        "prompts": prompts,
        "prompt_tokens": prompt_tokens,
        "response_tokens": tokens,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
        "models": models,
        "load_before_and_after": [load_before, os.getloadavg()[0]],
        "machine": machine("cuda" if torch.cuda.is_available() else "cpu"),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"made {out}")


def some_requests(prompts: int, samples: int, length: int) -> list[Request]:
    texts = [tuple(generator("benchmark", index).integers(0, VOCABULARY, length).tolist()) for index in range(prompts)]
    return [Request(text, derive_seed("benchmark", text[0], k)) for text in texts for k in range(samples)]


def random_model(hidden: int, layers: int, intermediate: int, longest: int) -> Qwen3ForCausalLM:
    """A Qwen3 with a tied head and heads of 32 channels."""
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        head_dim=32,
        intermediate_size=intermediate,
        max_position_embeddings=longest,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Qwen3ForCausalLM(config).eval().to(device)


def measure(model: Qwen3ForCausalLM, requests: list[Request], tokens: int, repeats: int) -> dict[str, object]:
    """Tokens per second of each engine and their ratio, and what vLLM's own copy of the weights costs: seconds to start and of a push.

    The engines take turns, so that other work on the machine slows both.
    """
    longest = len(requests[0].prompt_tokens) + tokens
    started = time.perf_counter()
    vllm = load_engine("vllm", model, Numbers(), longest=longest, batch_size=len(requests))
    seconds_start = time.perf_counter() - started
    engines = {"transformers": load_engine("transformers", model, Numbers()), "vllm": vllm}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for repeat in range(1 + repeats):
        for name, engine in engines.items():
            spent = timed(lambda engine=engine: sample(engine, requests, tokens))
            if repeat:
                seconds[name].append(spent)
    pushes = [timed(lambda: vllm.push_weights(plain_weights(model))) for _ in range(repeats)]
    vllm.close()
    ratios = [slow / fast for slow, fast in zip(seconds["transformers"], seconds["vllm"], strict=True)]
    return {
        "tokens_per_second": {
            name: len(requests) * tokens / statistics.median(values) for name, values in seconds.items()
        },
        "vllm_over_transformers": statistics.median(ratios),
        "seconds_start": seconds_start,
        "seconds_push": statistics.median(pushes),
    }


def sample(engine: Engine, requests: list[Request], tokens: int) -> None:
    responses = engine.sample(requests, temperature=1.0, top_p=1.0, max_tokens=tokens)
    assert all(len(response.logprobs) == tokens for response in responses)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def show(record: dict) -> None:
    title = (
        f"{record['requests']} responses of {record['response_tokens']} tokens to {record['prompts']} prompts of "
        f"{record['prompt_tokens']}: tokens per second ({record['threads']} threads)"
    )
    table = Table("parameters", *ENGINES, "ratio", "start, s", "push, ms", title=title)
    for model in record["models"]:
        table.add_row(
            f"{model['parameters'] / 1e6:.2f} M",
            *(f"{model['tokens_per_second'][name]:,.0f}" for name in ENGINES),
            f"{model['vllm_over_transformers']:.2f}",
            f"{model['seconds_start']:.1f}",
            f"{1000 * model['seconds_push']:.0f}",
        )
    Console(width=int(os.environ.get("COLUMNS", "100"))).print(table)


if __name__ == "__main__":
    typer.run(main)
