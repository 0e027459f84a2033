"""What is watched while a run trains: a benchmark's problems, and the tokens of its first rollouts."""

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
    ) -> None:
        self.engine, self.pool, self.recorder = engine, pool, recorder
        self.curve, self.limit = study.training.curve, study.training.sampling.max_response_tokens
        prompts = encode_prompts(tokenizer, template, problems, study.training.sampling.max_prompt_tokens)
        self.asked = [
            (problem, sample, Request(tokens, derive_seed("curve", self.curve.benchmark, problem.problem_id, sample)))
            for problem, tokens in zip(problems, prompts, strict=True)
            for sample in range(self.curve.samples)
        ]

    def evaluate(self, step: int) -> None:
        """Sample, grade and store the outcomes of one step."""
        problems, samples, requests = zip(*self.asked, strict=True)
        responses = self.engine.sample(
            list(requests), temperature=self.curve.temperature, top_p=self.curve.top_p, max_tokens=self.limit
        )
        grades = self.pool.grade_many(
            [(problem.answer, response.text) for problem, response in zip(problems, responses, strict=True)]
        )
        table = pd.DataFrame(
            {
                "step": step,
                "benchmark": self.curve.benchmark,
                "problem_id": [problem.problem_id for problem in problems],
                "sample": samples,
                "outcome": [grade.outcome for grade in grades],
                "n_tokens": [len(response.token_ids) for response in responses],
            }
        )
        self.recorder.part("evaluations", step, table)


class Probe:
    """The tokens of the first rollouts, scored again as training goes on: how the entropy of the same tokens moves."""

    def __init__(self, recorder: Recorder, scorer: Scorer, budget: int) -> None:
        self.recorder, self.scorer, self.budget = recorder, scorer, budget
        self.path = recorder.work / "probe.json"

    @property
    def kept(self) -> bool:
        return self.path.exists()

    def keep(self, batch: RolloutBatch, signals: TokenSignals, groups: int) -> None:
        """Keep the tokens of the first ``groups`` groups of the first batch that has any: the policy is then still the base."""
        chosen = (signals.group < groups).nonzero().squeeze(1)
        part, rows = signals.select(chosen)
        sequences = [batch.sequences[index] for index in chosen.tolist()]
        kept = {
            "sequences": [[sequence.prompt, sequence.response] for sequence in sequences],
            "response": part.response.tolist(),
            "position": part.position.tolist(),
            "quadrant": quadrant_of(signals)[rows].tolist(),
            "base_entropy": part.entropy.tolist(),
        }
        files.write_json(self.path, kept)
        self.score(0)

    def score(self, step: int) -> None:
        """Store the entropies of the kept tokens under the policy of now."""
        if not self.kept:
            return
        kept = files.read_json(self.path)
        sequences = [Sequence(tuple(prompt), tuple(response)) for prompt, response in kept.pop("sequences")]
        table = pd.DataFrame({"step": step, **kept, "entropy": self.scorer.score(sequences, self.budget)[1]})
        self.recorder.part("probe", step, table)
