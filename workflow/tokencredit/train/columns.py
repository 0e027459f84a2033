"""The optional columns of ``TokenSignals``: those that the run's method asks for, each filled once per step, before the policy moves."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.base import load_tokenizer
from tokencredit.base.checked import load_checked
from tokencredit.credit import TokenSignals
from tokencredit.engines.lengths import positions, text_config
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.policy import Adapter, Scorer, Sequence, attention_entropy
from tokencredit.prompts import encode_privileged_prompt
from tokencredit.records import Problem
from tokencredit.seeds import derive_seed, uniforms
from tokencredit.train import kinds, measuring, resets, states
from tokencredit.train.mismatch import sampler_logprobs
from tokencredit.train.processes import Processes
from tokencredit.train.recorder import Recorder
from tokencredit.train.rollouts import Prompts, RolloutBatch
from tokencredit.train.run_spec import RunSpec
from tokencredit.train.sharding import ready

# The column of one step's batch, whose signals have no optional column yet: [N] on the CPU, or what ``TokenSignals`` holds once per batch.
Column = Callable[[int, RolloutBatch, TokenSignals], Tensor | float]


@dataclass(frozen=True)
class Source:
    """What columns are made from, beside a step's batch. ``scorer`` is the policy's, and at the time of filling the old policy's.

    ``policy`` and ``adapter`` are in one piece in each process, for columns that look inside; ``sampling`` and ``pool`` are for those that
    continue responses. ``costs``: what these took in a step, by the name of a metric.
    """

    spec: RunSpec
    policy: PreTrainedModel
    scorer: Scorer
    tokenizer: PreTrainedTokenizerBase
    prompts: Prompts
    recorder: Recorder
    processes: Processes
    adapter: Adapter | None = None
    sampling: PolicyEngine | None = None
    pool: GradingPool | None = None
    costs: Counter[str] = field(default_factory=Counter)

    @property
    def budget(self) -> int:
        return self.spec.study.training.micro_batch_tokens

    def frozen(self, model_dir: Path) -> Scorer:
        """Another model as a scorer, in the precision of the policy's passes: of two equal models the log-probs are equal."""
        training = self.spec.study.training
        problems = [problem for problem, _ in self.prompts.problems]
        model, _ = load_checked(model_dir, self.spec.model, problems, longest=training.sampling.longest, sampled=False)
        scorer = Scorer(model.requires_grad_(False), training.sampling.temperature)
        return ready(scorer, training, self.processes)

    def logprob(self, scorer: Scorer, sequences: list[Sequence]) -> Tensor:
        """[N] float32, nats: the log-probs of the sequences' response tokens."""
        return self.processes.score(scorer, sequences, self.budget)[0]


class Columns:
    """The columns ``names``, prepared once per run: models that they need are loaded. ``UserError`` for a column that cannot be filled."""

    def __init__(self, names: Iterable[str], source: Source) -> None:
        self._columns = {name: MAKERS[name](source) for name in sorted(names)}
        self._costs = source.costs

    def fill(self, step: int, batch: RolloutBatch, signals: TokenSignals) -> TokenSignals:
        """``signals`` with the columns of ``batch``, the rollouts of ``step``."""
        self._costs.clear()
        filled = {name: column(step, batch, signals) for name, column in self._columns.items()}
        return dataclasses.replace(signals, **filled)

    @property
    def costs(self) -> dict[str, int]:
        """What the continuations of the last ``fill`` took: metrics of its step."""
        return dict(self._costs)


def _reference(source: Source) -> Column:
    """log pi under the model that training started from."""
    reference = source.frozen(source.spec.model_dir)
    return lambda step, batch, signals: source.logprob(reference, batch.sequences)


def _rollout(source: Source) -> Column:
    """log pi of the tokens as the sampler computed them."""

    return lambda step, batch, signals: sampler_logprobs(batch.rollouts)


def _teacher(source: Source) -> Column:
    """log pi of the tokens under the method's teacher, after the same prompts. ``UserError`` unless it has the policy's vocabulary."""
    folder = source.spec.teacher_dir
    ours, theirs = source.tokenizer.get_vocab(), load_tokenizer(folder).get_vocab()
    if ours != theirs:
        raise UserError(
            f"{folder}: the teacher {source.spec.method.teacher!r} has another vocabulary than {source.spec.model_dir}: "
            f"{len(ours.items() ^ theirs.items())} entries differ, so its log-probs would be of other texts."
        )
    teacher = source.frozen(folder)
    return lambda step, batch, signals: source.logprob(teacher, batch.sequences)


def _privileged(source: Source, entropy: bool = False) -> Column:
    """log pi of the tokens, or the entropy before them, under the same policy after the model's prompt that holds the gold answer."""
    told = {(problem.problem_id, prompt): _told(source, problem) for problem, prompt in source.prompts.problems}

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        # Pooled data sets may number their problems alike, so the prompt is part of the key.
        sequences = [
            Sequence(told[rollout.problem_id, rollout.prompt_tokens], rollout.response.token_ids)
            for rollout in batch.rollouts
        ]
        return source.processes.score(source.scorer, sequences, source.budget)[entropy]

    return column


def _contrast(source: Source) -> Column:
    """log pi of the tokens under the same policy after such a prompt with the same answer and another problem, drawn for each response."""
    problems = source.prompts.problems
    places = {(problem.problem_id, prompt): place for place, (problem, prompt) in enumerate(problems)}
    if len(problems) < 2:
        raise UserError(f"{source.spec.name}: compares with another problem, and there is one only.")

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        sequences = []
        for group, rollout in zip(batch.group.tolist(), batch.rollouts, strict=True):
            place = places[rollout.problem_id, rollout.prompt_tokens]
            seed = derive_seed(source.spec.seed, "contrast", step, group, rollout.problem_id, rollout.sample)
            other = problems[(place + 1 + seed % (len(problems) - 1)) % len(problems)][0]
            told = _told(source, dataclasses.replace(other, answer=problems[place][0].answer))
            sequences.append(Sequence(told, rollout.response.token_ids))
        return source.logprob(source.scorer, sequences)

    return column


def _told(source: Source, problem: Problem) -> tuple[int, ...]:
    """The model's ``privileged_prompt`` of a problem.

    ``UserError`` for a prompt that an embedded model cannot read, or that leaves no room for the longest response.
    """
    spec, room = source.spec, positions(source.policy)
    longest = spec.study.training.sampling.max_response_tokens
    tokens = encode_privileged_prompt(source.tokenizer, spec.model, problem)
    if len(tokens) + longest > room:
        raise UserError(
            f"{spec.name}: with its answer the prompt of problem {problem.problem_id} has {len(tokens)} tokens; "
            f"models.{spec.study.model_name} reads {room}, of which max_response_tokens = {longest} are the response's."
        )
    return tokens


def _residual_norm(source: Source) -> Column:
    """How far the adapter moves the state that predicts each token."""
    if source.adapter is None:
        raise ValueError("the column residual_norm needs an adapter: the recipe's lora_rank is 0.")
    adapter = source.adapter

    def norm(share: list[Sequence]) -> Tensor:
        return adapter.residual_norm(share, source.budget)

    return lambda step, batch, signals: source.processes.rows(batch.sequences, norm)


def _attention_entropy(source: Source) -> Column:
    """How widely the middle layer looks around when it predicts each token."""
    layer = text_config(source.policy).num_hidden_layers // 2

    def entropy(share: list[Sequence]) -> Tensor:
        return attention_entropy(source.policy, share, layer, source.budget)

    return lambda step, batch, signals: source.processes.rows(batch.sequences, entropy)


def _noise(source: Source, salt: str = "noise") -> Column:
    """A number of each token's own in [0, 1), by (run seed, salt, step, group, problem, sample, position)."""

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        seeds = [
            derive_seed(source.spec.seed, salt, step, group, rollout.problem_id, rollout.sample)
            for group, rollout in zip(batch.group.tolist(), batch.rollouts, strict=True)
        ]
        return torch.from_numpy(uniforms(np.array(seeds, np.uint64)[batch.response.numpy()], batch.position.numpy()))

    return column


def _progress(source: Source) -> Column:
    """The share of the run's steps that lie behind."""
    steps = source.spec.study.training.steps
    return lambda step, batch, signals: (step - 1) / steps


def _entropy_history(source: Source) -> Column:
    """[S] float64, nats: the mean token entropy of every earlier step that learned something, from the run's own records."""

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        earlier = [line["entropy"] for line in source.recorder.lines("metrics") if "entropy" in line]
        return torch.tensor(earlier, dtype=torch.float64)

    return column


# By the names of ``tokencredit.credit.COLUMNS``. ``logprob`` is not among them: it belongs to an update, not to a step.
MAKERS: dict[str, Callable[[Source], Column]] = {
    "ref_logprob": _reference,
    "rollout_logprob": _rollout,
    "teacher_logprob": _teacher,
    "privileged_logprob": _privileged,
    "privileged_entropy": partial(_privileged, entropy=True),
    "contrast_logprob": _contrast,
    "residual_norm": _residual_norm,
    "attention_entropy": _attention_entropy,
    "hidden": states.hidden,
    "uniqueness": states.uniqueness,
    "value": measuring.value,
    "information": measuring.information,
    "state": measuring.state,
    "response_step": measuring.response_step,
    "kind": kinds.kind,
    "begun": resets.begun,
    "noise": _noise,
    "control_noise": partial(_noise, salt="control noise"),
    "progress": _progress,
    "entropy_history": _entropy_history,
}
