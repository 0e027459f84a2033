"""From prompts to graded groups: drawing prompts, sampling, grading, dynamic sampling, and the flat batch that they make."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
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
from tokencredit.train.batching import balanced, lacking
from tokencredit.train.graded import sample_and_grade
from tokencredit.train.processes import ALONE, Processes

# A request with what it is for: the problem, and the number of the response.
Asked = tuple[Problem, int, Request]

# Rounds of sampling beside the first, in search of responses of the rarer verdict.
_MOST_ROUNDS = 10


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
    advantages: list[list[float]] | None = (
        None  # of the groups as they were sampled, where some responses were left out
    )
    sampled: int = 0
    right: int = 0
    ungraded: int = 0
    truncated: int = 0
    zero_variance: int = 0
    groups_sampled: int = 0
    groups_surplus: int = 0  # sampled ahead, and not needed
    refills: int = 0
    seconds_sample: float = 0.0
    seconds_grade: float = 0.0  # after the last response; what was graded before is in seconds_sample
    resets: dict[str, float | int | None] = field(default_factory=dict)  # metrics of a step in which responses restart


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
        balance: float | None = None,
    ) -> None:
        self.balance = balance
        self.engine, self.pool, self.prompts, self.sampling = engine, pool, prompts, sampling
        self.group_size, self.seed, self.processes = group_size, seed, processes

    def collect(self, prompts: int, recipe: Recipe, drawn: int) -> Collected:
        """``prompts`` groups, starting at draw number ``drawn``.

        With dynamic sampling, groups whose outcomes are all equal are dropped and as many draws taken in their place as groups are
        missing, at most ``recipe.max_refills`` times; then the step has fewer groups. Draws are sampled ahead, for a few rounds of many
        responses take less time than many of few; which draws are taken does not depend on that.
        """
        collected = Collected(groups=[], drawn=drawn)
        ahead: list[list[Rollout]] = []  # of the draws from `collected.drawn` on
        rounds = 1 + (recipe.max_refills if recipe.dynamic_sampling else 0)
        for refill in range(rounds):
            missing = prompts - len(collected.groups)
            if not missing:
                break
            collected.refills = refill
            enough = min(_expected_draws(missing, collected, prompts), missing * (rounds - refill))
            self._draw(missing, enough, ahead, recipe, collected)
        if self.balance is not None:
            self._balance(prompts * self.group_size, self.balance, ahead, recipe, collected)
        collected.groups_surplus = len(ahead)
        return collected

    def _balance(
        self, size: int, share: float, ahead: list[list[Rollout]], recipe: Recipe, collected: Collected
    ) -> None:
        """Draw on until ``size`` responses can have the ``share`` of each verdict, within bounds, and keep such responses alone."""
        for _ in range(_MOST_ROUNDS):
            missing = -(-lacking(collected.groups, size, share) // self.group_size)
            if not missing:
                break
            collected.refills += 1
            self._draw(missing, missing, ahead, recipe, collected)
        collected.advantages, groups = [], []
        for group, places in zip(collected.groups, balanced(collected.groups, size, share), strict=True):
            if places:
                whole = RolloutBatch([group])
                advantage = group_advantage(whole.reward, whole.group)[places].tolist()
                collected.advantages.append(advantage)
                groups.append([group[place] for place in places])
        collected.groups = groups

    def _draw(self, count: int, enough: int, ahead: list[list[Rollout]], recipe: Recipe, collected: Collected) -> None:
        """Take the next ``count`` draws from ``ahead``; where it holds fewer, sample on until it holds ``enough``."""
        if count > len(ahead):
            ahead += self._sample(collected.drawn + len(ahead), enough - len(ahead), recipe, collected)
        _take(ahead[:count], recipe, collected)
        del ahead[:count]

    def _sample(self, first: int, prompts: int, recipe: Recipe, collected: Collected) -> list[list[Rollout]]:
        """The graded responses of ``prompts`` draws from draw number ``first`` on."""
        asked = [
            self.asked(draw, sample) for draw in range(first, first + prompts) for sample in range(self.group_size)
        ]
        rollouts = self.answered(self.engine, asked, recipe, collected)
        return [rollouts[start : start + self.group_size] for start in range(0, len(rollouts), self.group_size)]

    def asked(self, draw: int, sample: int) -> Asked:
        """The request for response number ``sample`` to the problem of a draw."""
        problem, tokens = self.prompts.draw(draw)
        return problem, sample, Request(tokens, derive_seed(self.seed, "rollout", draw, problem.problem_id, sample))

    def answered(self, engine: Engine, asked: list[Asked], recipe: Recipe, collected: Collected) -> list[Rollout]:
        """The graded responses of ``engine``, each process a part of them; their seconds are added to ``collected``."""
        mine = self.processes.block(asked)
        started = time.monotonic()
        graded = sample_and_grade(
            engine,
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
        return rollouts

    def _reward(self, outcome: str, response: Any, recipe: Recipe) -> float:
        reward = 1.0 if outcome == "right" else -1.0
        return reward + overlong_penalty(
            len(response.token_ids), self.sampling.max_response_tokens, recipe.overlong_buffer
        )


def _expected_draws(missing: int, collected: Collected, most: int) -> int:
    """How many draws give ``missing`` groups at the rate of those that were taken: not above ``most``, nor below ``missing``."""
    if not collected.groups:
        return most
    return max(missing, min(most, -(-missing * collected.groups_sampled // len(collected.groups))))


def _take(sampled: list[list[Rollout]], recipe: Recipe, collected: Collected) -> None:
    """Count the groups of the next draws, and keep those that something can be learned from."""
    collected.drawn += len(sampled)
    for responses in sampled:
        count(responses, collected)
        keep_group(responses, recipe, collected)


def count(responses: list[Rollout], collected: Collected) -> None:
    """Count how responses that were sampled from a prompt ended."""
    collected.sampled += len(responses)
    collected.right += sum(rollout.outcome == "right" for rollout in responses)
    collected.ungraded += sum(rollout.outcome == "ungraded" for rollout in responses)
    collected.truncated += sum(rollout.response.finish_reason == "length" for rollout in responses)


def keep_group(responses: list[Rollout], recipe: Recipe, collected: Collected) -> None:
    """Keep the responses of a group if something can be learned from it."""
    collected.groups_sampled += 1
    # A response without a verdict has no reward: it leaves its group rather than count as wrong.
    group = [rollout for rollout in responses if rollout.outcome != "ungraded"]
    equal = len({rollout.outcome for rollout in group}) < 2
    collected.zero_variance += equal
    if len(group) > 1 and not (equal and recipe.dynamic_sampling):
        collected.groups.append(group)


def overlong_penalty(length: int, limit: int, buffer: int) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476 Eq. 13): 0 up to limit - buffer tokens, then falling to -1 at the limit."""
    return 0.0 if not buffer else max(-1.0, min(0.0, (limit - buffer - length) / buffer))


class RolloutBatch:
    """The responses of one step as flat token rows."""

    def __init__(self, groups: list[list[Rollout]], advantages: list[list[float]] | None = None) -> None:
        """``advantages``: of each response, where its group was larger than what is left of it."""
        self._advantages = advantages
        self.rollouts = [rollout for group in groups for rollout in group]
        self.sequences = [Sequence(rollout.prompt_tokens, rollout.response.token_ids) for rollout in self.rollouts]
        self.group = torch.tensor([index for index, group in enumerate(groups) for _ in group], dtype=torch.long)
        self.groups = len(groups)

    @property
    def reward(self) -> Tensor:
        """[R] float32."""
        return torch.tensor([rollout.reward for rollout in self.rollouts], dtype=torch.float32)

    @property
    def advantage(self) -> Tensor:
        """[R] float32: A_i."""
        if self._advantages is None:
            return group_advantage(self.reward, self.group)
        return torch.tensor([own for group in self._advantages for own in group], dtype=torch.float32)

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
        return TokenSignals(
            response=self.response,
            position=self.position,
            entropy=entropy,
            old_logprob=old_logprob,
            reward=self.reward,
            correct=torch.tensor([rollout.outcome == "right" for rollout in self.rollouts]),
            advantage=self.advantage,
            group=self.group,
        )
