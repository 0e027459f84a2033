"""What credit costs: every method on a batch of a million tokens, against the scoring pass of a model of a million parameters.

``python benchmarks/credit_cost.py`` prints seconds and shares of the scoring pass, and writes them as JSON. One process, one run: the pass
and the methods are timed side by side on the same machine and thread count.
"""

from __future__ import annotations

import dataclasses
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
from torch import Tensor

from tokencredit.base.pretrain import build_model, new_tokenizer
from tokencredit.config import Config, EmbeddedModel
from tokencredit.credit import CONTROLS, METHODS, THRESHOLDS, TokenSignals, assign, controlled, group_advantage
from tokencredit.credit.diagnostics import diagnose
from tokencredit.policy import Scorer, Sequence
from tokencredit.tools.node.machine import machine

LIMIT = 0.05  # of the scoring pass
HIDDEN = 128  # numbers of a state
PATIENCE = 30.0  # seconds: a longer run is not repeated


def main(
    tokens: Annotated[int, typer.Option(help="Response tokens of the batch.")] = 1_000_000,
    model: Annotated[str, typer.Option(help="The embedded model, one of config/models.yaml.")] = "embedded-1m",
    repeats: Annotated[int, typer.Option(help="Runs of each method; the median counts.")] = 5,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("results/benchmarks/credit_cost.json"),
) -> None:
    """Time the scoring pass once over all tokens, and each method's credit as the median of several runs."""
    signals = batch(tokens)
    seconds_scoring, scored = scoring_pass(model, signals)

    def fresh(stage: str = "rollout") -> TokenSignals:
        """Signals as a step has them: nothing that they keep once it is computed is there yet."""
        return dataclasses.replace(signals, logprob=signals.ref_logprob if stage == "update" else None)

    seconds = {
        name: median(lambda name=name, stage=method.stage: assign(name, fresh(stage)), repeats)
        for name, method in METHODS.items()
    }
    for threshold in THRESHOLDS[1:]:
        seconds[f"phr, {threshold}"] = median(lambda t=threshold: assign("phr", fresh(), threshold=t), repeats)
    credit = assign("eapo", signals)
    for control in CONTROLS:
        seconds[f"control {control}"] = median(lambda c=control: controlled(c, fresh(), credit), repeats)
    seconds["diagnostics"] = median(lambda: diagnose(fresh(), credit), repeats)

    record = {
        "tokens": len(signals.response),
        "responses": len(signals.reward),
        "model": model,
        "threads": torch.get_num_threads(),
        "seconds_scoring": seconds_scoring,
        "tokens_scored": scored,
        "seconds": seconds,
        "share_of_scoring": {name: value / seconds_scoring for name, value in seconds.items()},
        "limit": LIMIT,
        "machine": machine("cpu"),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(record)
    print(f"made {out}")


def batch(tokens: int, group_size: int = 8, longest: int = 64) -> TokenSignals:
    """A random float32 batch with every column, about ``tokens`` response tokens in groups of ``group_size``."""
    random = torch.Generator().manual_seed(0)
    groups = max(1, round(tokens / (group_size * (longest + 1) / 2)))
    responses = groups * group_size
    lengths = torch.randint(1, longest + 1, (responses,), generator=random)
    total = int(lengths.sum())
    group = torch.arange(groups).repeat_interleave(group_size)
    reward = torch.where(torch.rand(responses, generator=random) < 0.4, 1.0, -1.0)

    def uniform() -> Tensor:
        return torch.rand(total, generator=random)

    old_logprob = -3 * uniform()
    columns = ("ref_logprob", "rollout_logprob", "teacher_logprob", "privileged_logprob", "contrast_logprob")
    response = torch.arange(responses).repeat_interleave(lengths)
    position = torch.arange(total) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
    return TokenSignals(
        response=response,
        position=position,
        entropy=uniform().pow(4),
        old_logprob=old_logprob,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        **{column: old_logprob + 0.2 * (uniform() - 0.5) for column in columns},
        privileged_entropy=uniform().pow(4),
        residual_norm=uniform(),
        attention_entropy=uniform(),
        hidden=torch.randn(total, HIDDEN, generator=random),
        uniqueness=uniform().pow(4),
        value=uniform(),
        information=uniform().pow(4),
        # A group's responses share their first five states.
        state=torch.where(position < 5, group[response] * longest + position, groups * longest + torch.arange(total)),
        response_step=position // 8,
        kind=(7 * uniform()).long(),
        begun=(lengths // 2)[response],
        noise=uniform(),
        control_noise=uniform(),
        progress=0.5,
        entropy_history=uniform()[:100],
    )


def scoring_pass(name: str, signals: TokenSignals) -> tuple[float, int]:
    """Seconds of the no-gradient pass over responses of the batch's lengths after prompts of one token, and the tokens that it read."""
    chosen = Config("config").models[name]
    assert isinstance(chosen, EmbeddedModel)
    tokenizer = new_tokenizer(chosen)
    scorer = Scorer(build_model(chosen, tokenizer))
    lengths = torch.bincount(signals.response).tolist()
    ids = torch.randint(0, len(tokenizer), (max(lengths),)).tolist()
    sequences = [Sequence((ids[0],), tuple(ids[:length])) for length in lengths]
    scorer.score(sequences[:64], 4096)
    started = time.perf_counter()
    scorer.score(sequences, 4096)
    return time.perf_counter() - started, sum(map(len, sequences))


def median(run: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    run()
    if (first := time.perf_counter() - started) > PATIENCE:
        return first
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def show(record: dict) -> None:
    title = (
        f"credit of {record['tokens']:,} tokens; scoring pass of {record['model']}: {record['seconds_scoring']:.1f} s"
        f" ({record['threads']} threads)"
    )
    table = Table("method", "seconds", "share of scoring", title=title)
    for name, seconds in sorted(record["seconds"].items(), key=lambda item: -item[1]):
        share = record["share_of_scoring"][name]
        table.add_row(name, f"{seconds:.3f}", f"{share:.2%}" + ("  above the limit" if share > LIMIT else ""))
    Console(width=int(os.environ.get("COLUMNS", "100"))).print(table)


if __name__ == "__main__":
    typer.run(main)
