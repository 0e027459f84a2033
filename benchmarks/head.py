"""What the head costs: time, peak memory and error of log-probs, entropies and their gradients, beside other implementations.

``python benchmarks/head.py`` prints ratios against a plain log-softmax and writes all numbers as JSON. Every measurement has a process of
its own, whose peak is VmHWM of Linux less what was resident when the inputs were made. All belong to one run on one machine and thread
count; a round measures every case once, and the median of the rounds counts. With the defaults it takes half an hour and 16 GB. ``--model``
measures the three heads at the shape of a model alone.

Where there is a GPU the first is taken; the peak is then of its memory, and products of float32 are rounded to TF32, as in training.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from shapes import DEVICE, shape_of, wait
from torch import Tensor

from tokencredit.policy import head, token_stats
from tokencredit.tools.node.machine import machine

Stats = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]
TARGET_MEMORY, TARGET_TIME = 1 / 5, 1.0  # of the naive head


@dataclass(frozen=True)
class Case:
    """One measurement: who computes what, of which size."""

    peer: str
    tokens: int
    vocabulary: int = 151_936
    width: int = 1536
    dtype: str = "float32"
    entropy_learns: bool = False  # whether the loss holds the entropy too, or the log-probs alone
    weight_learns: bool = True
    share_with_gradient: float = 1.0  # of the tokens
    tile_numbers: int | None = None  # instead of the head's own


def main(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Name of a model in config/models.yaml; may be repeated. Only such heads then."),
    ] = None,
    tokens: Annotated[
        int, typer.Option(help="Tokens of the comparison: as many as the naive head has memory for.")
    ] = 3072,
    many: Annotated[
        int, typer.Option(help="Tokens of the largest measurement, for which the naive head takes 15 GB.")
    ] = 8192,
    few: Annotated[int, typer.Option(help="Tokens of the wider model and of the tile sizes.")] = 512,
    vocabulary: Annotated[int, typer.Option(help="Size of the vocabulary.")] = 151_936,
    rounds: Annotated[int, typer.Option(help="Measurements of each case; the median counts.")] = 3,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/head.json"),
) -> None:
    """Measure every case in a process of its own, round after round, then the errors, then the small model of the demo."""
    load = os.getloadavg()
    peers = ["naive", "tokencredit", *(["trl"] if importlib.util.find_spec("trl") else [])]
    base = Case("naive", tokens, vocabulary)
    ours = replace(base, peer="tokencredit")
    if model:
        shapes = [shape_of(name) for name in model]
        sizes = [(shape.vocabulary, shape.hidden_size) for shape in shapes]
        cases = [Case(peer, tokens, *size, entropy_learns=True) for size in sizes for peer in peers]
        largest, demo = [], []
    else:
        cases = compared(base, peers, few)
        largest = [
            replace(ours, tokens=many, entropy_learns=True),
            *(replace(base, peer=peer, tokens=many) for peer in ("naive", "tokencredit")),
        ]
        demo = [Case(peer, 4096, 170, 128, entropy_learns=learns) for learns in (True, False) for peer in peers]
    measured = [[in_a_process(measure, case) for case in cases] for _ in range(rounds)]
    measured_largest = [[in_a_process(measure, case) for case in largest]]
    record = {
        "cases": [*summary(cases, measured), *summary(largest, measured_largest)],
        "demo": in_a_process(measure_small, demo) if demo else [],
        "errors": [] if model else in_a_process(errors, replace(base, tokens=64)),
        "liger": LIGER,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "load_before": load,
        "load_after": os.getloadavg(),
        "targets": {"memory": TARGET_MEMORY, "time": TARGET_TIME},
        "machine": machine(DEVICE),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"made {out}")


def compared(base: Case, peers: list[str], few: int) -> list[Case]:
    """Both losses by all, and of the naive head and ours variants of the task; ours with tiles of other sizes."""
    both = [replace(base, peer=peer, entropy_learns=True) for peer in peers]
    alone = [replace(base, peer=peer) for peer in [*peers, *(["liger"] if LIGER else [])]]
    ours = replace(base, peer="tokencredit")
    variants = [
        replace(case, **change)
        for change in (
            {"dtype": "bfloat16"},
            {"weight_learns": False},
            {"share_with_gradient": 0.25},
            {"tokens": few, "width": 3584},
        )
        for case in (base, ours)
    ]
    return [*both, *alone, *variants, *(replace(ours, tokens=few, tile_numbers=2**power) for power in range(18, 26))]


def naive(hidden: Tensor, weight: Tensor, target: Tensor, entropy_learns: bool) -> tuple[Tensor, Tensor | None]:
    """All logits in float32, their log-softmax, and the entropy from it."""
    logprobs = torch.log_softmax(hidden.float() @ weight.float().T, -1)
    with torch.set_grad_enabled(entropy_learns):
        entropy = -(logprobs.exp() * logprobs).sum(-1)
    return logprobs.gather(1, target[:, None]).squeeze(1), entropy


def tokencredit(hidden: Tensor, weight: Tensor, target: Tensor, entropy_learns: bool) -> tuple[Tensor, Tensor | None]:
    return token_stats(hidden, weight, target)


def trl(hidden: Tensor, weight: Tensor, target: Tensor, entropy_learns: bool) -> tuple[Tensor, Tensor | None]:
    """TRL's fused head as its trainers call it: tiles of 4,096 tokens x 32,768; off CUDA its kernels are torch operations."""
    from trl.kernels import ChunkedLogProbFunction

    logprob, entropy, *_ = ChunkedLogProbFunction.apply(
        hidden, weight, None, target, 1.0, 32_768, None, 1.0, ("entropy",)
    )
    return logprob, entropy


def liger(hidden: Tensor, weight: Tensor, target: Tensor, entropy_learns: bool) -> tuple[Tensor, Tensor | None]:
    """Liger's chunked log-probs in plain torch, tiles of 2,048 x 4,096; it has no entropy."""
    from liger_kernel.chunked_loss import fused_linear_ppo

    return fused_linear_ppo._ChunkedSelectiveLogProbFunction.apply(hidden, weight, target, None, 1.0, 4096), None


PEERS: dict[str, Stats] = {"naive": naive, "tokencredit": tokencredit, "trl": trl, "liger": liger}
LIGER = importlib.util.find_spec("liger_kernel") is not None


def measure(case: Case) -> dict[str, float]:
    """Seconds of one forward and one backward pass, and the peak of both together above what was there before, in bytes."""
    if DEVICE == "cuda":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    if case.tile_numbers is not None:
        head._TILE_NUMBERS = case.tile_numbers
    hidden, weight, target, factor = inputs(case)
    small = replace(case, tokens=64, vocabulary=64, width=64)
    passes(small, *inputs(small))  # imports what the peer needs, and starts the threads
    before = memory_now()
    forward, backward, _ = passes(case, hidden, weight, target, factor)
    return {"seconds_forward": forward, "seconds_backward": backward, "peak_bytes": memory_peak() - before}


def measure_small(cases: list[Case], repeats: int = 300) -> list[dict]:
    """The medians of many passes of a small size, each case in its turn, in one process."""
    made = [inputs(case) for case in cases]
    times: list[list[tuple[float, float]]] = [[] for _ in cases]
    for _ in range(repeats):
        for case, tensors, seconds in zip(cases, made, times, strict=True):
            tensors[0].grad = tensors[1].grad = None
            seconds.append(passes(case, *tensors)[:2])
    medians = ([statistics.median(part) for part in zip(*seconds, strict=True)] for seconds in times)
    return [
        asdict(case) | {"seconds_forward": forward, "seconds_backward": backward}
        for case, (forward, backward) in zip(cases, medians, strict=True)
    ]


def passes(
    case: Case, hidden: Tensor, weight: Tensor, target: Tensor, factor: Tensor
) -> tuple[float, float, tuple[Tensor, Tensor | None]]:
    wait()
    started = time.perf_counter()
    logprob, entropy = PEERS[case.peer](hidden, weight, target, case.entropy_learns)
    wait()
    seconds_forward = time.perf_counter() - started
    loss = (factor * logprob).sum()
    if case.entropy_learns:
        loss = loss + (factor.flip(0) * entropy).sum()
    wait()
    started = time.perf_counter()
    loss.backward()
    wait()
    return seconds_forward, time.perf_counter() - started, (logprob, entropy)


def inputs(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random states, weight and targets whose logits have a standard deviation of 4, and a factor of the loss for every token."""
    random = torch.Generator().manual_seed(0)
    dtype = getattr(torch, case.dtype)
    hidden = torch.randn(case.tokens, case.width, generator=random).to(dtype)
    weight = torch.randn(case.vocabulary, case.width, generator=random).mul_(4 / case.width**0.5).to(dtype)
    target = torch.randint(0, case.vocabulary, (case.tokens,), generator=random)
    factor = torch.randn(case.tokens, generator=random)
    factor[round(case.share_with_gradient * case.tokens) :] = 0
    hidden, weight, target, factor = (each.to(DEVICE) for each in (hidden, weight, target, factor))
    return hidden.requires_grad_(), weight.requires_grad_(case.weight_learns), target, factor


def memory_now() -> int:
    """Bytes that are held, after which ``memory_peak`` counts."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts from here
    return memory("VmRSS")


def memory_peak() -> int:
    """The most bytes that were held."""
    return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else memory("VmHWM")


def memory(key: str) -> int:
    """VmRSS, what is resident, or VmHWM, the most that was, of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def errors(case: Case) -> list[dict]:
    """Against float64 on the same numbers: largest errors in nats, and gradients' errors relative to their norms."""
    rows = []
    for dtype in ("float32", "bfloat16"):
        same = replace(case, dtype=dtype, entropy_learns=True)
        tensors = inputs(same)
        exact = [value.detach().double().requires_grad_(value.is_floating_point()) for value in tensors[:2]]
        logprobs = torch.log_softmax(exact[0] @ exact[1].T, -1)
        expected = logprobs.gather(1, tensors[2][:, None]).squeeze(1), -(logprobs.exp() * logprobs).sum(-1)
        (tensors[3] * expected[0] + tensors[3].flip(0) * expected[1]).sum().backward()
        for peer in ("naive", "tokencredit", "trl"):
            tensors[0].grad = tensors[1].grad = None
            found = passes(replace(same, peer=peer), *tensors)[2]
            logprob, entropy = (float((a - b).detach().abs().max()) for a, b in zip(found, expected, strict=True))
            hidden, weight = (
                float((a.grad - b.grad).norm() / b.grad.norm()) for a, b in zip(tensors[:2], exact, strict=True)
            )
            rows.append(
                {
                    "peer": peer,
                    "dtype": dtype,
                    "logprob": logprob,
                    "entropy": entropy,
                    "hidden_gradient": hidden,
                    "weight_gradient": weight,
                }
            )
    return rows


def in_a_process(run: Callable, argument: object) -> object:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, argument).result()


def summary(cases: list[Case], rounds: list[list[dict[str, float]]]) -> list[dict]:
    """Each case with the medians of its measurements, and their ratios to the naive head on the same task where it was measured."""
    medians = [
        {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        for measured in zip(*rounds, strict=True)
    ]
    plain = {case: values for case, values in zip(cases, medians, strict=True) if case.peer == "naive"}
    rows = []
    for case, values in zip(cases, medians, strict=True):
        peer = plain.get(replace(case, peer="naive"), {})
        rows.append(asdict(case) | values | {f"{key}_of_naive": values[key] / peer[key] for key in peer})
    return rows


def show(record: dict) -> None:
    console = Console(width=int(os.environ.get("COLUMNS", "150")))
    title = (
        f"the head on {record['threads']} threads, load {record['load_before'][0]:.1f} to {record['load_after'][0]:.1f}"
    )
    table = Table("head", "tokens", "width", "case", "forward s", "backward s", "peak GB", "of naive", title=title)
    for row in record["cases"]:
        ratios = [row.get(f"{key}_of_naive") for key in ("seconds_forward", "seconds_backward", "peak_bytes")]
        table.add_row(
            row["peer"],
            f"{row['tokens']:,}",
            str(row["width"]),
            kind(row),
            f"{row['seconds_forward']:.2f}",
            f"{row['seconds_backward']:.2f}",
            f"{row['peak_bytes'] / 1e9:.2f}",
            "" if None in ratios else "  ".join(f"{ratio:.2f}" for ratio in ratios),
        )
    console.print(table)
    if not record["demo"]:
        return
    small = Table("head", "loss", "forward ms", "backward ms", title="the demo's model: 4,096 tokens, V 170, H 128")
    for row in record["demo"]:
        times = (f"{1000 * row[key]:.2f}" for key in ("seconds_forward", "seconds_backward"))
        small.add_row(row["peer"], kind(row), *times)
    console.print(small)
    wrong = Table("head", "inputs", "log-prob", "entropy", "d hidden", "d weight", title="error against float64")
    for row in record["errors"]:
        wrong.add_row(*(value if isinstance(value, str) else f"{value:.1e}" for value in row.values()))
    console.print(wrong)


def kind(row: dict) -> str:
    parts = ["log-prob and entropy" if row["entropy_learns"] else "log-prob", row["dtype"]]
    parts += [] if row["weight_learns"] else ["frozen weight"]
    parts += [] if row["share_with_gradient"] == 1 else [f"{row['share_with_gradient']:.0%} of tokens"]
    parts += [] if row["tile_numbers"] is None else [f"tiles of {row['tile_numbers']:,}"]
    return ", ".join(parts)


if __name__ == "__main__":
    typer.run(main)
