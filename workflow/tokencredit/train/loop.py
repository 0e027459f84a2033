"""The training loop, readable from top to bottom.

What is left out of textbook GRPO, and why:
- no value model and no KL in the reward: the objective of arXiv 2604.11056 has neither (KL to the reference is a term of the loss, where a
  recipe asks for it);
- no second pass for entropies: one pass without gradient gives the old log-probs and the entropies together, before any micro-batch is cut;
- no random state to save: every choice is a hash of (seed, draw, problem, sample), so a resumed run is the same run;
- no best checkpoint: the model after the last step is the result.

The same text runs in every process of a run; ``processes`` shares out what is costly and says who writes. The result does not depend on
how many there are.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokencredit import files, progress
from tokencredit.base import load_manifest
from tokencredit.base.checked import load_checked
from tokencredit.credit import METHODS
from tokencredit.engines.ending import token_texts
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.grading.pool import available_cores
from tokencredit.policy import Adapter, Sequence, add_lora
from tokencredit.provenance import environment
from tokencredit.seeds import derive_seed
from tokencredit.train import checkpoint, metrics
from tokencredit.train.checkpoint import Progress
from tokencredit.train.columns import Columns, Source
from tokencredit.train.heartbeat import Heartbeat
from tokencredit.train.lock import exclusive
from tokencredit.train.mismatch import invalid_by_mismatch, mismatch, sampler_logprobs
from tokencredit.train.processes import ALONE, Processes
from tokencredit.train.recorder import Recorder
from tokencredit.train.resets import ResetSampler
from tokencredit.train.rollouts import Collected, Prompts, RolloutBatch, Sampler
from tokencredit.train.run_spec import RunSpec
from tokencredit.train.sharding import copy_weights, trained_scorer
from tokencredit.train.support import Support, supports
from tokencredit.train.update import Credit, Updater
from tokencredit.train.watch import Curve, Probe

# More than can be kept busy while responses are sampled; each takes a second to start, and 100 MB.
_MOST_GRADERS = 4


def train(spec: RunSpec, processes: Processes = ALONE) -> bool:
    """Train one run to its last step, from a checkpoint if there is one. True when ``run.json`` is there, False when stopped.

    One run at a time: where a killed workflow left its trainer behind, the next one waits for it and takes over what it made. A run that
    is finished already is not trained again.
    """
    with _signals() as stop, _alone(spec, stop, processes) as alone:
        if not processes.from_first(lambda: alone):
            return False
        here = environment(str(processes.device))
        return processes.from_first(lambda: spec.finished(here)) or _train(spec, stop, processes)


def _train(spec: RunSpec, stop: Stop, processes: Processes) -> bool:
    started = time.monotonic()
    training = spec.study.training
    workers, study = _graders(processes), spec.study
    curve_grader = study.grader_of(training.curve.benchmark)
    # A pool starts no worker before the first answer that needs one.
    with (
        GradingPool(workers, grader=study.grader) as pool,
        GradingPool(workers, grader=curve_grader) as curve_pool,
    ):
        run = Run(spec, pool, pool if curve_grader == study.grader else curve_pool, processes)
        with run.heartbeat, contextlib.closing(run.sampling):
            run.resume()
            name = f"{spec.study.name}/{spec.name}/seed{spec.seed}"
            with progress.bar(name, training.steps, processes.first, done=run.progress.step) as bar:
                for step in range(run.progress.step + 1, training.steps + 1):
                    record = run.step(step)
                    progress.show_step(bar, record)
                    # A signal may have reached some processes only, and reaches each at another point of its step.
                    stopped = any(processes.gather(stop.asked))
                    if stopped or step % training.checkpoint_every == 0 or step == training.steps:
                        run.save()
                    # After the last step too: publishing may take longer than what is left.
                    if stopped:
                        return False
            processes.from_first(lambda: run.publish(started))
    return True


class Run:
    """The moving parts of one run, and one step of it."""

    def __init__(self, spec: RunSpec, pool: GradingPool, curve_pool: GradingPool, processes: Processes) -> None:
        self.spec, self.training, self.processes = spec, spec.study.training, processes
        training, recipe = self.training, spec.recipe
        self.digests = spec.digests()
        self.run_digest = files.digest_of({**self.digests, "seed": spec.seed})
        self.recorder = Recorder(spec.out / "work" / self.run_digest[:12], processes)
        self.checkpoints = self.recorder.work / "checkpoints"
        self.heartbeat = Heartbeat(self.recorder.work / "processes", processes.rank, training.watchdog_minutes)
        self.progress = Progress(step=0, drawn=0)
        self.heartbeat.phase(0, "start")
        torch.manual_seed(derive_seed(spec.seed, "torch"))

        # What samples and is published: the weights in one piece. What is trained is the same model, or a sharded copy of it.
        problems = spec.problems()
        self.policy, self.tokenizer = load_checked(
            spec.model_dir,
            spec.model,
            problems,
            longest=training.sampling.longest,
            device=processes.device,
            sampled=training.engine == "transformers",
        )
        self.adapter: Adapter | None = None
        if recipe.lora_rank:
            self.adapter = add_lora(
                self.policy, recipe.lora_rank, 2 * recipe.lora_rank, derive_seed(spec.seed, "adapter")
            )
        self.updater = Updater(trained_scorer(self.policy, training, processes), training, recipe, processes, spec.seed)

        self.prompts = Prompts(
            problems, self.tokenizer, spec.model.prompt, training.sampling.max_prompt_tokens, spec.seed
        )
        drawn = (tokens for _, tokens in self.prompts.problems)
        self.sampling = PolicyEngine(training, self.policy, self.tokenizer, lambda some: self._score(some)[0], drawn)
        engine = self.sampling.engine
        sampler = Sampler(
            engine,
            pool,
            self.prompts,
            training.sampling,
            training.group_size,
            spec.seed,
            processes,
            training.balance_rewards,
        )
        resets = spec.method.resets
        self.sampler = ResetSampler(sampler, self.tokenizer, resets) if resets else sampler
        # A restart makes two groups of a prompt.
        self.stored_groups = training.rollouts.prompts * (2 if resets else 1)
        prompt, watched = spec.model.prompt, spec.curve_problems()
        self.curve = Curve(engine, curve_pool, self.tokenizer, prompt, watched, spec.study, self.recorder, processes)
        self.probe = Probe(self.recorder, self.updater.scorer, training.micro_batch_tokens, processes)
        method = spec.method
        self.credit = Credit(method.credit, METHODS[method.credit].resolved(method.params), method.control)
        source = Source(
            spec=spec,
            policy=self.policy,
            scorer=self.updater.scorer,
            adapter=self.adapter,
            sampling=self.sampling,
            pool=pool,
            tokenizer=self.tokenizer,
            prompts=self.prompts,
            recorder=self.recorder,
            processes=processes,
        )
        self.columns = Columns(self.credit.columns | ({"ref_logprob"} if recipe.kl_coef else set()), source)

    def resume(self) -> None:
        """Go to the newest checkpoint, or evaluate the base model if there is none."""
        self.heartbeat.phase(0, "resume")
        stored = checkpoint.restore(
            self.checkpoints,
            self.run_digest,
            self.updater.scorer.model,
            self.updater.optimizer,
            self.processes.device,
            self.processes,
        )
        copy_weights(self.updater.scorer.model, self.policy)
        self.progress = stored or self.progress
        self.sampling.follow(f"after step {self.progress.step}")
        self.recorder.resume_at(self.progress.step)
        self.probe.resume_at(self.progress.step)
        if stored is None:
            self.curve.evaluate(0)

    def step(self, step: int) -> dict[str, Any]:
        """Sample, grade, score, assign credit, update, record. Returns the step's metrics."""
        clock = time.monotonic
        self.heartbeat.phase(step, "sample")
        collected = self.sampler.collect(self.training.prompts_per_step, self.spec.recipe, self.progress.drawn)
        record: dict[str, Any] = {"step": step, **metrics.collection_metrics(collected)}
        seconds = {
            "seconds_sample": collected.seconds_sample,
            "seconds_grade": collected.seconds_grade,
            "seconds_score": 0.0,
            "seconds_update": 0.0,
        }
        if collected.groups:
            learned, spent = self._learn(step, collected)
            record |= learned
            seconds |= spent
        tokens_per_second = record.get("tokens", 0) / sum(seconds.values())
        watching = clock()
        if step % self.training.curve.every == 0 or step == self.training.steps:
            self.heartbeat.phase(step, "evaluate")
            self.curve.evaluate(step)
            self.probe.score(step)
        seconds["seconds_evaluate"] = clock() - watching
        self.recorder.line("metrics", record)
        self.recorder.line("timing", {"step": step, **seconds, "tokens_per_second": tokens_per_second})
        self.progress = Progress(step, collected.drawn)
        return record

    def _learn(self, step: int, collected: Collected) -> tuple[dict[str, Any], dict[str, float]]:
        """From graded groups to updated weights: metrics, and seconds by phase."""
        started = time.monotonic()
        self.heartbeat.phase(step, "score")
        self.sampling.rest()
        batch = RolloutBatch(collected.groups, collected.advantages)
        old_logprob, entropy = self._score(batch.sequences)
        apart = mismatch(sampler_logprobs(batch.rollouts), old_logprob)
        signals = self.columns.fill(step, batch, batch.signals(old_logprob, entropy))
        first = not self.probe.kept
        if first:
            self.probe.keep(step, batch, signals, self.stored_groups)
        drawable = self._drawable(batch.sequences)
        scored = time.monotonic()
        self.heartbeat.phase(step, "update")
        update_metrics, token_credit = self.updater.step(step, batch.sequences, signals, self.credit, drawable)
        copy_weights(self.updater.scorer.model, self.policy)
        followed = self.sampling.follow(f"after step {step}")
        if first or step == self.training.steps or step % self.training.rollouts.every == 0:
            tokens = token_texts(self.tokenizer, batch.token_id.tolist())
            table = metrics.token_table(step, batch, signals, token_credit, tokens, self.stored_groups)
            self.recorder.part("rollouts", step, table)
        seconds = {"seconds_score": scored - started, "seconds_update": time.monotonic() - scored}
        learned = metrics.token_metrics(signals, token_credit) | update_metrics | apart | followed
        return learned | self.columns.costs, seconds

    def _score(self, sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies of response tokens under the policy of now."""
        return self.processes.score(self.updater.scorer, sequences, self.training.micro_batch_tokens)

    def _drawable(self, sequences: list[Sequence]) -> list[Support] | None:
        """What could be drawn at each response token under the policy of now, where ratios are to be restricted to it."""
        if self.training.ratio_over == "vocabulary":
            return None
        scorer, budget, top_p = self.updater.scorer, self.training.micro_batch_tokens, self.training.sampling.top_p
        return self.processes.each(scorer, sequences, budget, lambda some: supports(scorer, some, budget, top_p))

    def save(self) -> None:
        self.heartbeat.phase(self.progress.step, "save")
        checkpoint.save(
            self.checkpoints,
            self.progress,
            self.run_digest,
            self.updater.scorer.model,
            self.updater.optimizer,
            self.processes,
        )

    def publish(self, started: float) -> None:
        """Put the results beside each other, ``run.json`` last, and only then let the work folder go."""
        spec = self.spec
        if not self.probe.kept:
            raise UserError(
                f"{spec.out}: none of {self.training.steps} steps had a group with both right and wrong responses, so nothing was "
                f"trained: the model solves none or all of the training problems."
            )
        made = self.recorder.publish(spec.out)
        model_dir = spec.out / "model"
        policy = self.adapter.merge() if self.adapter else self.policy
        policy.save_pretrained(model_dir)
        self.tokenizer.save_pretrained(model_dir)
        files.share(model_dir)
        lines = files.read_jsonl(made["metrics.jsonl"])
        spec.publish(
            {
                "study": spec.study.name,
                "cell": spec.name,
                "method": spec.method.credit,
                "seed": spec.seed,
                "steps": len(lines),
                "config": spec.study.training_config(spec.name),
                "digests": self.digests,
                "config_digest": self.digests["config"],
                "code_digest": self.digests["code"],
                "model": load_manifest(spec.model_dir),
                "teacher": load_manifest(spec.teacher_dir) if spec.teacher_dir else None,
                "prompts_too_long": self.prompts.too_long,
                "processes": self.processes.count,
                "environment": environment(str(self.processes.device)),
                "files": {name: files.sha256(path) for name, path in made.items() if name != "timing.jsonl"},
                "model_sha256": files.sha256(model_dir),
                "final": lines[-1],
                "invalid": invalid_by_mismatch(lines, self.training.mismatch_kl),
                "seconds": time.monotonic() - started,
            }
        )
        self.recorder.remove()


def _alone(spec: RunSpec, stop: Stop, processes: Processes) -> contextlib.AbstractContextManager[bool]:
    """The run's folder to itself; False if a signal came while another had it. The first process asks for all."""
    return exclusive(spec.out, lambda: stop.asked) if processes.first else contextlib.nullcontext(True)


def _graders(processes: Processes) -> int:
    """Grading processes beside one that trains: one of its cores is for training itself."""
    return max(1, min(_MOST_GRADERS, available_cores() // processes.count - 1))


@dataclass
class Stop:
    """Set by SIGTERM or SIGUSR1: the loop then saves and ends after the step under way."""

    asked: bool = False


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
