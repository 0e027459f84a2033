"""From prompts to graded groups: drawing prompts, sampling, grading, dynamic sampling, and the flat batch that they make."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tokencredit.config import Recipe, Sampling
from tokencredit.credit import TokenSignals, group_advantage
from tokencredit.engines import Engine
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.policy import Sequence
from tokencredit.prompts import encode_prompt
from tokencredit.records import Problem, Request, Rollout
from tokencredit.seeds import derive_seed, generator
from tokencredit.train.graded import sample_and_grade
from tokencredit.train.processes import ALONE, Processes


class Prompts:
    """An endless, stateless order of problems: each epoch is a shuffle by (seed, epoch), and a draw is a number."""

    def __init__(self, problems: list[Problem], tokenizer: Any, template: str, max_tokens: int, seed: int) -> None:
        encoded = [(problem, encode_prompt(tokenizer, template, problem)) for problem in problems]
        self.problems = [(problem, tokens) for problem, tokens in encoded if len(tokens) <= max_tokens]
        self.too_long = len(encoded) - len(self.problems)
        self._seed = seed
        self._orders: dict[int, list[int]] = {}
        if not self.problems:
            raise UserError(
                f"no problem of the {len(problems)} given has a prompt of at most {max_tokens} tokens (max_prompt_tokens)."
            )

    def __len__(self) -> int:
        return len(self.problems)

    def draw(self, number: int) -> tuple[Problem, tuple[int, ...]]:
        """The ``number``-th problem since the start of the run, with its prompt's tokens."""
        epoch, place = divmod(number, len(self))
        if epoch not in self._orders:
            self._orders = {epoch: generator(self._seed, "prompt order", epoch).permutation(len(self)).tolist()}
        return self.problems[self._orders[epoch][place]]


@dataclass
class Collected:
    """The groups of one step, and what it took to get them."""

    groups: list[list[Rollout]]
    drawn: int
    sampled: int = 0
    right: int = 0
    ungraded: int = 0
    truncated: int = 0
    zero_variance: int = 0
    groups_sampled: int = 0
    refills: int = 0
    seconds_sample: float = 0.0
    seconds_grade: float = 0.0  # after the last response; what was graded before is in seconds_sample


class Sampler:
    """Samples and grades groups of responses. Each process does a part, and all processes get all groups."""

    def __init__(
        self,
        engine: Engine,
        pool: GradingPool,
        prompts: Prompts,
        sampling: Sampling,
        group_size: int,
        seed: int,
        processes: Processes = ALONE,
    ) -> None:
        self.engine, self.pool, self.prompts, self.sampling = engine, pool, prompts, sampling
        self.group_size, self.seed, self.processes = group_size, seed, processes

    def collect(self, prompts: int, recipe: Recipe, drawn: int) -> Collected:
        """``prompts`` groups, starting at draw number ``drawn``.

        With dynamic sampling, groups whose outcomes are all equal are dropped and others sampled in their place, at most
        ``recipe.max_refills`` times; then the step has fewer groups.
        """
        collected = Collected(groups=[], drawn=drawn)
        for refill in range(1 + (recipe.max_refills if recipe.dynamic_sampling else 0)):
            missing = prompts - len(collected.groups)
            if not missing:
                break
            collected.refills = refill
            self._sample(missing, recipe, collected)
        return collected

    def _sample(self, prompts: int, recipe: Recipe, collected: Collected) -> None:
        asked = []
        for draw in range(collected.drawn, collected.drawn + prompts):
            problem, tokens = self.prompts.draw(draw)
            for sample in range(self.group_size):
                seed = derive_seed(self.seed, "rollout", draw, problem.problem_id, sample)
                asked.append((problem, sample, Request(tokens, seed)))
        mine = self.processes.block(asked)
        started = time.monotonic()
        graded = sample_and_grade(
            self.engine,
            self.pool,
            [request for _, _, request in mine],
            [problem.answer for problem, _, _ in mine],
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            max_tokens=self.sampling.max_response_tokens,
        )
        made = [
            Rollout(
                problem.problem_id,
                sample,
                request.prompt_tokens,
                response,
                grade.outcome,
                self._reward(grade.outcome, response, recipe),
            )
            for (problem, sample, request), response, grade in zip(mine, graded.responses, graded.grades, strict=True)
        ]
        rollouts = self.processes.together(made)
        collected.seconds_sample += graded.seconds_sample
        collected.seconds_grade += time.monotonic() - started - graded.seconds_sample
        collected.drawn += prompts
        collected.groups_sampled += prompts
        collected.sampled += len(rollouts)
        collected.right += sum(rollout.outcome == "right" for rollout in rollouts)
        collected.ungraded += sum(rollout.outcome == "ungraded" for rollout in rollouts)
        collected.truncated += sum(rollout.response.finish_reason == "length" for rollout in rollouts)
        for first in range(0, len(rollouts), self.group_size):
            # A response without a verdict has no reward: it leaves its group rather than count as wrong.
            group = [rollout for rollout in rollouts[first : first + self.group_size] if rollout.outcome != "ungraded"]
            equal = len({rollout.outcome for rollout in group}) < 2
            collected.zero_variance += equal
            if len(group) > 1 and not (equal and recipe.dynamic_sampling):
                collected.groups.append(group)

    def _reward(self, outcome: str, response: Any, recipe: Recipe) -> float:
        reward = 1.0 if outcome == "right" else -1.0
        return reward + overlong_penalty(
            len(response.token_ids), self.sampling.max_response_tokens, recipe.overlong_buffer
        )


def overlong_penalty(length: int, limit: int, buffer: int) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476 Eq. 13): 0 up to limit - buffer tokens, then falling to -1 at the limit."""
    return 0.0 if not buffer else max(-1.0, min(0.0, (limit - buffer - length) / buffer))


class RolloutBatch:
    """The responses of one step as flat token rows."""

    def __init__(self, groups: list[list[Rollout]]) -> None:
        self.rollouts = [rollout for group in groups for rollout in group]
        self.sequences = [Sequence(rollout.prompt_tokens, rollout.response.token_ids) for rollout in self.rollouts]
        self.group = torch.tensor([index for index, group in enumerate(groups) for _ in group], dtype=torch.long)
        self.groups = len(groups)

    @cached_property
    def token_id(self) -> Tensor:
        """[N] int64."""
        return torch.tensor([token for sequence in self.sequences for token in sequence.response], dtype=torch.long)

    @cached_property
    def response(self) -> Tensor:
        """[N] int64: the row of the token's response."""
        lengths = torch.tensor([len(sequence.response) for sequence in self.sequences])
        return torch.arange(len(lengths)).repeat_interleave(lengths)

    @cached_property
    def position(self) -> Tensor:
        """[N] int64: the token's place in its response, from 0."""
        return torch.cat([torch.arange(len(sequence.response)) for sequence in self.sequences])

    def signals(self, old_logprob: Tensor, entropy: Tensor) -> TokenSignals:
        """The batch's signals, from one scoring pass of the old policy; optional columns are left open."""
        reward = torch.tensor([rollout.reward for rollout in self.rollouts], dtype=torch.float32)
        return TokenSignals(
            response=self.response,
            position=self.position,
            entropy=entropy,
            old_logprob=old_logprob,
            reward=reward,
            correct=torch.tensor([rollout.outcome == "right" for rollout in self.rollouts]),
            advantage=group_advantage(reward, self.group),
            group=self.group,
        )
