"""What the tests of many processes run in each of them: ``python -m tests.train.in_processes <folder>``."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3ForCausalLM

from tests.models import tiny_qwen3
from tests.train.conftest import CoinPool, each_token, tiny_spec
from tests.train.test_update import RECIPE, batch, training
from tokencredit.base.checked import load_checked
from tokencredit.credit import TokenCredit
from tokencredit.policy import Scorer, add_lora
from tokencredit.train import columns, loop, resets
from tokencredit.train.loop import Run
from tokencredit.train.processes import Processes, joined
from tokencredit.train.sharding import copy_weights, trained_scorer, unsharded
from tokencredit.train.support import supports
from tokencredit.train.update import Credit, Updater

# A clipped advantage, with a head tied and untied; a threshold of the whole batch; one ratio per response; a divergence; a bonus for
# every token; an adapter; ratios restricted to what could be drawn.
METHODS = ("eapo", "eapo-untied", "forking", "gspo", "archer", "entroreg", "grpo-lora", "grpo-nucleus")
# Two that look inside the policy, one of them through an adapter; a reference model; credit of every update; restarts.
RUNS = ("grpo", "arca", "attention-entropy", "forking", "rrpo")

Measured = dict[str, Any]


def moving_model(name: str) -> Qwen3ForCausalLM:
    """A float64 model, with an adapter or a head of its own where ``name`` says so; every weight that is trained has a gradient."""
    model = tiny_qwen3(tied=not name.endswith("-untied"))
    if name.endswith("-lora"):
        add_lora(model, 4, 8, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.01 * torch.arange(parameter.numel()).reshape(parameter.shape).sin()
    return model


def updates(name: str, processes: Processes, **changes: object) -> Measured:
    """A step of one update: its metrics, its gradient after clipping, and the weights that it leaves in the model that samples."""
    model = moving_model(name)
    if "mixed_precision" in changes:
        model.float()  # autocast leaves float64 alone
    scorer = trained_scorer(model, training(**changes), processes)
    sequences, signals = batch(Scorer(tiny_qwen3()))
    shift = 0.3 * (signals.noise - 0.5)
    old_logprob = signals.old_logprob.double() + shift
    signals = dataclasses.replace(signals, old_logprob=old_logprob, ref_logprob=None)
    if name == "archer":
        signals = dataclasses.replace(signals, ref_logprob=old_logprob - 0.1)
    method = Credit(name.removesuffix("-lora").removesuffix("-untied").removesuffix("-nucleus"), {})
    updater = Updater(scorer, training(prompts_per_update=4, **changes), RECIPE, processes)

    drawable = None
    if name.endswith("-nucleus"):
        drawable = processes.each(scorer, sequences, 40, lambda some: supports(scorer, some, 40, top_p=0.8))
        drawable = [dataclasses.replace(each, logprob=each.logprob + 0.1) for each in drawable]

    found: list[torch.Tensor] = []
    step = updater.optimizer.step

    def watched() -> None:
        found.extend(unsharded(parameter.grad).clone() for parameter in scorer.parameters() if parameter.requires_grad)
        step()

    updater.optimizer.step = watched
    metrics, _ = updater.step(1, sequences, signals, method, drawable)
    copy_weights(scorer.model, model)
    return {"gradient": found, "metrics": metrics, "weights": model.state_dict()}


def one_response(processes: Processes) -> Measured:
    """The gradient of a batch in which a single response has any, so that all processes but one have nothing to do; and its scores."""
    scorer = trained_scorer(moving_model("grpo"), training(), processes)
    sequences, signals = batch(Scorer(tiny_qwen3()))
    advantage = torch.where(signals.response == 5, 1.0, 0.0)
    updater = Updater(scorer, training(grad_clip=1e9), RECIPE, processes)
    found: list[torch.Tensor] = []
    updater.optimizer.step = lambda: found.extend(unsharded(each.grad).clone() for each in scorer.parameters())
    metrics = updater.update(sequences, signals, TokenCredit(advantage, signals.every_token))
    logprob, entropy = processes.score(scorer, sequences[5:6], 1000)
    metrics |= {"logprob": float(logprob.sum()), "entropy": float(entropy.sum())}
    return {"gradient": found, "metrics": metrics, "weights": {}}


def measured(processes: Processes) -> dict[str, Measured]:
    """Everything that is compared between one process and two."""
    cases = {name: updates(name, processes) for name in METHODS}
    # Micro-batches of one or two sequences, and layers computed again: not as many passes in both processes.
    cases["small"] = updates("eapo", processes, micro_batch_tokens=20, gradient_checkpointing=True)
    cases["one response"] = one_response(processes)
    cases["bf16"] = updates("eapo", processes, mixed_precision="bf16")
    return cases


def run(folder: Path, name: str, out: Path, processes: Processes, stop_at: int | None = None) -> bool:
    """A whole run of the tiny study in float64; at step ``stop_at`` the last process is sent a signal."""
    spec = tiny_spec(folder, name, out)
    whole_step = Run.step

    def signalled(self: Run, step: int) -> Any:
        if step == stop_at and processes.rank == processes.count - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole_step(self, step)

    precise = functools.partial(load_checked, dtype=torch.float64)
    before = loop.GradingPool, loop.load_checked, columns.load_checked, resets.first_tokens
    loop.GradingPool, loop.load_checked, columns.load_checked, resets.first_tokens = (
        CoinPool,
        precise,
        precise,
        each_token,
    )
    Run.step = signalled
    try:
        return loop.train(spec, processes)
    finally:
        Run.step = whole_step
        loop.GradingPool, loop.load_checked, columns.load_checked, resets.first_tokens = before


def main(folder: Path, processes: Processes) -> None:
    cases = measured(processes)
    if processes.first:
        torch.save(cases, folder / "two.pt")
    for name in RUNS:
        assert run(folder, name, folder / "two" / name, processes)
    assert not run(folder, "arca", folder / "from-two", processes, stop_at=3)
    assert run(folder, "arca", folder / "from-one", processes)


if __name__ == "__main__":
    with joined() as together:
        main(Path(sys.argv[1]), together)
