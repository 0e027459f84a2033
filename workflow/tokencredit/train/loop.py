"""The training loop, readable from top to bottom.

What is left out of textbook GRPO, and why:
- no value model and no KL in the reward: the objective of arXiv 2604.11056 has neither (KL to the reference is a term of the loss, where a
  base asks for it);
- no second pass for entropies: one pass without gradient gives the old log-probs and the entropies together, before any micro-batch is cut;
- no random state to save: every choice is a hash of (seed, draw, problem, sample), so a resumed run is the same run;
- no best checkpoint: the model after the last step is the result.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from tokencredit import files
from tokencredit.base import load_manifest, load_policy, load_tokenizer
from tokencredit.config import Study
from tokencredit.credit import METHODS, QUADRANTS
from tokencredit.engines import load_engine
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.policy import Scorer
from tokencredit.provenance import environment
from tokencredit.records import problems_from
from tokencredit.seeds import derive_seed
from tokencredit.train import checkpoint, metrics, training_code
from tokencredit.train.checkpoint import Progress
from tokencredit.train.recorder import Recorder
from tokencredit.train.rollouts import Prompts, RolloutBatch, Sampler
from tokencredit.train.update import Credit, Updater
from tokencredit.train.watch import Curve, Probe

EXIT_STOPPED = 75  # EX_TEMPFAIL: stopped by a signal after a checkpoint; the same command goes on


@dataclass(frozen=True)
class Cell:
    """One run: a study's method under a training seed, and the files that it reads and writes."""

    study: Study
    name: str
    seed: int
    model_dir: Path
    data: list[Path]
    curve_data: Path
    out: Path

    def digests(self) -> dict[str, str]:
        """Digests of everything that decides what the run computes."""
        return {
            "config": files.digest_of(self.study.training_config(self.name)),
            "model": load_manifest(self.model_dir)["sha256"],
            "code": training_code(self.study.methods[self.name].credit),
            **{f"data {path.parent.name}": files.sha256(path) for path in [*self.data, self.curve_data]},
        }


@dataclass
class Stop:
    """Set by SIGTERM or SIGUSR1: the loop then saves and ends after the step under way."""

    asked: bool = field(default=False)


def train(cell: Cell) -> bool:
    """Train one cell to its last step, or go on where a checkpoint stands. True when ``run.json`` is there, False when stopped.

    One process at a time: where a killed workflow left its trainer behind, the next one waits for it and takes over what it made.
    """
    with files.exclusive(cell.out):
        return _finished(cell) or _train(cell)


def _finished(cell: Cell) -> bool:
    path = cell.out / "run.json"
    if not path.exists():
        return False
    run = files.read_json(path)
    return run["digests"] == cell.digests() and run["seed"] == cell.seed


def _train(cell: Cell) -> bool:
    started = time.monotonic()
    study, training = cell.study, cell.study.training
    base, method = study.base_of(cell.name), study.methods[cell.name]
    accelerator = Accelerator(mixed_precision=training.mixed_precision)
    if accelerator.num_processes > 1:
        raise UserError(f"training runs in one process; it was launched in {accelerator.num_processes}.")
    torch.manual_seed(derive_seed(cell.seed, "torch"))

    tokenizer = load_tokenizer(cell.model_dir)
    policy = load_policy(cell.model_dir).to(accelerator.device)
    scorer = Scorer(policy, training.sampling.temperature)
    updater = Updater(scorer, training, base, accelerator)
    reference = None
    if base.kl_coef:
        reference = Scorer(
            load_policy(cell.model_dir).to(accelerator.device).requires_grad_(False), training.sampling.temperature
        )

    template = study.config.models[study.model_name].prompt
    problems = [problem for path in cell.data for problem in problems_from(files.read_parquet(path))]
    prompts = Prompts(problems, tokenizer, template, training.sampling.max_prompt_tokens, cell.seed)
    curve_problems = problems_from(files.read_parquet(cell.curve_data))[: training.curve.problems]
    engine = load_engine("transformers", policy, tokenizer)
    credit = Credit(method.credit, METHODS[method.credit].defaults | method.params)

    digests = cell.digests()
    run_digest = files.digest_of({**digests, "seed": cell.seed})
    recorder = Recorder(cell.out / "work" / run_digest[:12])
    checkpoints = recorder.work / "checkpoints"
    progress = checkpoint.restore(checkpoints, run_digest, policy, updater.optimizer, accelerator.device) or Progress(
        0, 0
    )
    recorder.resume_at(progress.step)

    with (
        GradingPool(workers=1) as pool,
        _signals() as stop,
        tqdm(
            total=training.steps, initial=progress.step, desc=f"{study.name}/{cell.name}/seed{cell.seed}", unit="step"
        ) as bar,
    ):
        sampler = Sampler(engine, pool, prompts, training.sampling, training.group_size, cell.seed)
        curve = Curve(engine, pool, tokenizer, template, curve_problems, study, recorder)
        probe = Probe(recorder, updater.scorer, training.micro_batch_tokens)
        if progress.step == 0:
            curve.evaluate(0)
        for step in range(progress.step + 1, training.steps + 1):
            clock = time.monotonic
            collected = sampler.collect(training.prompts_per_step, base, progress.drawn, clock)
            record: dict[str, Any] = {"step": step, **metrics.collection_metrics(collected)}
            scored = clock()
            updated = scored
            if collected.groups:
                batch = RolloutBatch(collected.groups)
                old_logprob, entropy = updater.scorer.score(batch.sequences, training.micro_batch_tokens)
                ref_logprob = reference.score(batch.sequences, training.micro_batch_tokens)[0] if reference else None
                signals = batch.signals(old_logprob, entropy, ref_logprob)
                first = not probe.kept
                if first:
                    probe.keep(batch, signals, training.rollouts.prompts)
                updated = clock()
                update_metrics, token_credit = updater.step(step, batch.sequences, signals, credit)
                record |= metrics.token_metrics(signals, token_credit) | update_metrics
                if first or step == training.steps or step % training.rollouts.every == 0:
                    tokens = tokenizer.convert_ids_to_tokens(batch.token_id.tolist())
                    table = metrics.token_table(step, batch, signals, token_credit, tokens, training.rollouts.prompts)
                    recorder.part("rollouts", step, table)
            evaluated = clock()
            if step % training.curve.every == 0 or step == training.steps:
                curve.evaluate(step)
                probe.score(step)
            ended = clock()
            recorder.line("metrics", record)
            seconds = {
                "seconds_sample": collected.seconds_sample,
                "seconds_grade": collected.seconds_grade,
                "seconds_score": updated - scored,
                "seconds_update": evaluated - updated,
                "seconds_evaluate": ended - evaluated,
            }
            rate = record.get("tokens", 0) / max(1e-9, sum(seconds.values()) - seconds["seconds_evaluate"])
            recorder.line("timing", {"step": step, **seconds, "tokens_per_second": rate})
            bar.update()
            bar.set_postfix(solved=f"{record['solve_rate']:.2f}", entropy=f"{record.get('entropy', float('nan')):.3f}")
            progress = Progress(step, collected.drawn)
            if stop.asked or step % training.checkpoint_every == 0 or step == training.steps:
                checkpoint.save(checkpoints, progress, run_digest, policy, updater.optimizer)
            if stop.asked and step < training.steps:
                return False

    if not probe.kept:
        raise UserError(
            f"{cell.out}: none of {training.steps} steps had a group with both right and wrong responses, so nothing was trained: "
            f"the model solves none or all of the training problems."
        )
    _finish(
        cell,
        recorder,
        policy,
        tokenizer,
        digests,
        prompts.too_long,
        time.monotonic() - started,
        str(accelerator.device),
    )
    return True


def _finish(
    cell: Cell,
    recorder: Recorder,
    policy: Any,
    tokenizer: Any,
    digests: dict[str, str],
    too_long: int,
    seconds: float,
    device: str,
) -> None:
    """Put the results beside each other, ``run.json`` last, and only then let the work folder go."""
    made = recorder.publish(cell.out)
    model_dir = cell.out / "model"
    policy.save_pretrained(model_dir)
    tokenizer.save_pretrained(model_dir)
    lines = files.read_jsonl(made["metrics.jsonl"])
    files.write_json(
        cell.out / "run.json",
        {
            "study": cell.study.name,
            "cell": cell.name,
            "method": cell.study.methods[cell.name].credit,
            "seed": cell.seed,
            "steps": len(lines),
            "config": cell.study.training_config(cell.name),
            "digests": digests,
            "config_digest": digests["config"],
            "code_digest": digests["code"],
            "model": load_manifest(cell.model_dir),
            "prompts_too_long": too_long,
            "quadrants": list(QUADRANTS),
            "environment": environment(device),
            "files": {name: files.sha256(path) for name, path in made.items() if name != "timing.jsonl"},
            "model_sha256": files.sha256(model_dir),
            "final": lines[-1],
            "invalid": None,
            "seconds": seconds,
        },
    )
    recorder.remove()


@contextlib.contextmanager
def _signals() -> Iterator[Stop]:
    stop = Stop()

    def ask(*_: Any) -> None:
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
