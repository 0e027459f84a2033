"""The start model, trained on the rows that a recipe keeps, and scored on problems: what an evaluation of a recipe is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from collections.abc import Sequence as Sequence_
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import torch

from tokencredit.base.checked import load_checked
from tokencredit.base.supervised import learning_rate
from tokencredit.config import Study, Tuning
from tokencredit.engines.policy_engine import PolicyEngine
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.policy import Scorer, Sequence
from tokencredit.policy.scoring import micro_batch_rows
from tokencredit.prompts import encode_answer, encode_prompt, encode_prompts, end_of_solution
from tokencredit.records import Problem, Request
from tokencredit.seeds import derive_seed, generator
from tokencredit.train.graded import sample_and_grade
from tokencredit.train.processes import Processes
from tokencredit.train.sharding import load_weights, ready

_GRAD_CLIP = 1.0
_LAST = 0.1  # of the updates, whose mean loss is told
SCORES = ["benchmark", "problem_id", "n", "right", "wrong", "ungraded", "tokens"]


@dataclass(frozen=True)
class Questions:
    """Problems of a benchmark, and how many responses to each are asked for."""

    benchmark: str
    problems: list[Problem]
    samples: int
    grader: str


@dataclass(frozen=True)
class Tuned:
    """What a training took: the mean loss of its last updates, nats a token, the tokens of all passes, and seconds."""

    loss: float
    tokens: int
    seconds: float


class Workbench:
    """A study's start model in memory: trained on some rows, scored, and put back to where it started."""

    def __init__(self, study: Study, model_dir: Path, problems: list[Problem]) -> None:
        """``problems``: some of those that are asked; the model and its sampler are tried on their prompts."""
        self.study, training = study, study.training
        alone = Processes(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        self.template = study.config.models[study.model_name].prompt
        self.policy, self.tokenizer = load_checked(
            model_dir,
            study.config.models[study.model_name],
            problems,
            longest=max(training.sampling.longest, study.evaluation.sampling.longest),
            device=alone.device,
            sampled=training.engine == "transformers",
        )
        self.end = end_of_solution(self.tokenizer, self.template, f"{model_dir}: the tokenizer")
        self.scorer = ready(Scorer(self.policy), training, alone)
        self._start = {name: weight.detach().clone() for name, weight in self.policy.named_parameters()}
        prompts = encode_prompts(self.tokenizer, self.template, problems, training.sampling.max_prompt_tokens)
        self._engine = PolicyEngine(training, self.policy, self.tokenizer, self._score, prompts)
        self._open = ExitStack()
        self._pools: dict[str, GradingPool] = {}

    def __enter__(self) -> Workbench:
        self._open.callback(self._engine.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def sequences(self, rows: pd.DataFrame) -> list[Sequence]:
        """The rows (columns prompt, response) as tokens, each response with its end."""
        return [
            Sequence(
                encode_prompt(self.tokenizer, self.template, Problem("", prompt, "")),
                (*encode_answer(self.tokenizer, response), self.end),
            )
            for prompt, response in zip(rows["prompt"], rows["response"], strict=True)
        ]

    def tune(self, rows: list[Sequence], seed: int) -> Tuned:
        """Train the start model on ``rows``; what it was before does not matter."""
        self._engine.rest()
        load_weights(self.policy, self._start.__getitem__)
        settings, budget = self.study.data_recipe.tuning, self.study.training.micro_batch_tokens
        tuned = tune(self.scorer, rows, settings, seed, budget)
        self._engine.follow("after a supervised start")
        return tuned

    def score(self, questions: Questions) -> pd.DataFrame:
        """One line per problem (columns ``SCORES``); the sampler's noise is that of the study's evaluations, the same for every model."""
        sampling = self.study.evaluation.sampling
        prompts = encode_prompts(self.tokenizer, self.template, questions.problems, sampling.max_prompt_tokens)
        seed, name = self.study.evaluation.seed, questions.benchmark
        asked = [
            (problem, Request(tokens, derive_seed(seed, "evaluation", name, problem.problem_id, sample)))
            for problem, tokens in zip(questions.problems, prompts, strict=True)
            for sample in range(questions.samples)
        ]
        graded = sample_and_grade(
            self._engine.engine,
            self._pool(questions.grader),
            [request for _, request in asked],
            [problem.answer for problem, _ in asked],
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_response_tokens,
        )
        table = pd.DataFrame(
            {
                "problem_id": [problem.problem_id for problem, _ in asked],
                "outcome": [grade.outcome for grade in graded.grades],
                "tokens": [len(response.token_ids) for response in graded.responses],
            }
        )
        table = table.assign(
            n=1, **{outcome: table["outcome"] == outcome for outcome in ("right", "wrong", "ungraded")}
        )
        sums = table.groupby("problem_id", sort=False)[["n", "right", "wrong", "ungraded", "tokens"]].sum()
        return sums.astype("int64").reset_index().assign(benchmark=name)[SCORES]

    def _pool(self, grader: str) -> GradingPool:
        if grader not in self._pools:
            self._pools[grader] = self._open.enter_context(GradingPool(1, grader=grader))
        return self._pools[grader]

    def _score(self, sequences: list[Sequence]) -> torch.Tensor:
        return self.scorer.score(sequences, self.study.training.micro_batch_tokens)[0]


def tune(scorer: Scorer, rows: list[Sequence], settings: Tuning, seed: int, budget: int) -> Tuned:
    """``settings.steps`` updates of AdamW on the mean -log p of a batch's response tokens, nats; the model is changed in place.

    ``seed`` decides the order of the rows. ``budget``: tokens of a pass: memory, not the result. ``UserError`` where the loss is no number.
    """
    optimizer = torch.optim.AdamW(scorer.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    started, tokens, losses = time.monotonic(), 0, []
    for step, places in enumerate(batches(len(rows), settings, seed), start=1):
        batch = [rows[place] for place in places]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        responses, loss = sum(len(row.response) for row in batch), 0.0
        for members, _ in micro_batch_rows(batch, budget):
            part = -scorer(members)[0].sum() / responses
            part.backward()
            loss += float(part.detach())
        if not math.isfinite(loss):
            raise UserError(
                f"data_recipe.tuning: the loss of update {step} is {loss}; lower tuning.learning_rate = {settings.learning_rate:g}."
            )
        torch.nn.utils.clip_grad_norm_(scorer.parameters(), _GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(map(len, batch))
        losses.append(loss)
    last = losses[-max(1, round(_LAST * len(losses))) :]
    return Tuned(sum(last) / len(last), tokens, time.monotonic() - started)


def batches(count: int, settings: Tuning, seed: int) -> Iterator[Sequence_[int]]:
    """The places of each update's rows among ``count``: all rows in random order, then all again in another one."""
    wanted = settings.steps * settings.batch
    epochs = -(-wanted // count)
    order = np.concatenate(
        [generator(seed, "data recipe", "batches", epoch).permutation(count) for epoch in range(epochs)]
    )
    yield from order[:wanted].reshape(settings.steps, settings.batch).tolist()
