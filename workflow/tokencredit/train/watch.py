"""Measurements during training: the learning curve on a benchmark, and the entropies of the first rollouts' tokens."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.config import Study
from tokencredit.credit import TokenSignals, quadrant_of
from tokencredit.grading import GradingPool
from tokencredit.policy import Scorer, Sequence
from tokencredit.prompts import encode_prompts
from tokencredit.records import Problem, Request
from tokencredit.seeds import derive_seed
from tokencredit.train.graded import sample_and_grade
from tokencredit.train.processes import Processes
from tokencredit.train.recorder import Recorder
from tokencredit.train.rollouts import RolloutBatch


class Curve:
    """The evaluation inside training: the first problems of the curve benchmark, with the same noise at every step and for every method."""

    def __init__(
        self,
        engine: Any,
        pool: GradingPool,
        tokenizer: Any,
        template: str,
        problems: list[Problem],
        study: Study,
        recorder: Recorder,
        processes: Processes,
    ) -> None:
        self.engine, self.pool, self.recorder, self.processes = engine, pool, recorder, processes
        self.curve, self.limit = study.training.curve, study.training.sampling.max_response_tokens
        prompts = encode_prompts(tokenizer, template, problems, study.training.sampling.max_prompt_tokens)
        self.asked = [
            (problem, sample, Request(tokens, derive_seed("curve", self.curve.benchmark, problem.problem_id, sample)))
            for problem, tokens in zip(problems, prompts, strict=True)
            for sample in range(self.curve.samples)
        ]

    def evaluate(self, step: int) -> None:
        """Sample, grade and store the outcomes of one step, each process a part of them."""
        mine = self.processes.block(self.asked)
        graded = sample_and_grade(
            self.engine,
            self.pool,
            [request for _, _, request in mine],
            [problem.answer for problem, _, _ in mine],
            temperature=self.curve.temperature,
            top_p=self.curve.top_p,
            max_tokens=self.limit,
        )
        rows = self.processes.together(
            [
                (step, self.curve.benchmark, problem.problem_id, sample, grade.outcome, len(response.token_ids))
                for (problem, sample, _), response, grade in zip(mine, graded.responses, graded.grades, strict=True)
            ]
        )
        columns = ["step", "benchmark", "problem_id", "sample", "outcome", "n_tokens"]
        self.recorder.part("evaluations", step, pd.DataFrame(rows, columns=columns))


class Probe:
    """The tokens of the first rollouts, scored again as training goes on: how the entropy of the same tokens moves."""

    def __init__(self, recorder: Recorder, scorer: Scorer, budget: int, processes: Processes) -> None:
        self.recorder, self.scorer, self.budget, self.processes = recorder, scorer, budget, processes
        self.path = recorder.work / "probe.json"
        self.kept = False

    def resume_at(self, step: int) -> None:
        """Go on with the tokens that were kept at ``step`` or before; later ones will be met, and kept, again."""
        self.kept = self.processes.from_first(lambda: self.path.exists() and files.read_json(self.path)["step"] <= step)

    def keep(self, step: int, batch: RolloutBatch, signals: TokenSignals, groups: int) -> None:
        """Keep the tokens of the first ``groups`` groups of the first batch that has any, when the policy is still the base model."""
        chosen = (signals.group < groups).nonzero().squeeze(1)
        part, rows = signals.select(chosen)
        sequences = [batch.sequences[index] for index in chosen.tolist()]
        kept = {
            "step": step,
            "sequences": [[sequence.prompt, sequence.response] for sequence in sequences],
            "response": part.response.tolist(),
            "position": part.position.tolist(),
            "quadrant": quadrant_of(signals)[rows].tolist(),
            "base_entropy": part.entropy.tolist(),
        }
        if self.processes.first:
            files.write_json(self.path, kept)
        self.kept = True
        self.score(0)

    def score(self, step: int) -> None:
        """Store the entropies of the kept tokens under the policy of now."""
        if not self.kept:
            return
        kept = self.processes.from_first(lambda: files.read_json(self.path))
        del kept["step"]
        sequences = [Sequence(tuple(prompt), tuple(response)) for prompt, response in kept.pop("sequences")]
        _, entropy = self.processes.score(self.scorer, sequences, self.budget)
        self.recorder.part("probe", step, pd.DataFrame({"step": step, **kept, "entropy": entropy}))
