"""Columns measured by continuations of the current policy: ``value``, ``information``, ``state``, ``response_step``.

A state is the text before a token: a problem's prompt and the response so far. Equal states are measured once a step. Nothing that is
sampled here is trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tokencredit.credit import METHODS, TokenSignals
from tokencredit.engines import Engine
from tokencredit.engines.ending import token_texts
from tokencredit.oracle import estimate
from tokencredit.oracle.continuations import Continuations, Start, outcomes
from tokencredit.oracle.measure import Settings
from tokencredit.seeds import derive_seed
from tokencredit.train.rollouts import RolloutBatch
from tokencredit.train.steps import step_numbers

if TYPE_CHECKING:
    from tokencredit.train.columns import Column, Source

# The tokens that are tried at a state whose information is measured: those with this much of the probability, no more than so many, and
# the one taken, each continued this often at least: one continuation says nothing about noise.
_MASS, _MOST_TOKENS, _FEWEST = 0.99, 16, 2


class States:
    """The different states of a batch. ``numbers`` [N]: that of the state before each token."""

    def __init__(self, batch: RolloutBatch) -> None:
        self._known: dict[tuple[object, object], int] = {}
        self.numbers: list[int] = []
        for rollout in batch.rollouts:
            state = self._known.setdefault((rollout.problem_id, rollout.prompt_tokens), len(self._known))
            for token in rollout.response.token_ids:
                self.numbers.append(state)
                state = self._known.setdefault((state, token), len(self._known))

    def passed(self, state: int, tokens: tuple[int, ...]) -> list[int]:
        """``state``, and those of the batch that ``tokens`` lead through from there."""
        found = [state]
        for token in tokens:
            if (state := self._known.get((state, token), -1)) < 0:
                break
            found.append(state)
        return found

    def firsts(self, wanted: Tensor) -> dict[int, int]:
        """For each different state of the rows ``wanted`` [N] bool the first of them."""
        found: dict[int, int] = {}
        for row in wanted.nonzero().squeeze(1).tolist():
            found.setdefault(self.numbers[row], row)
        return found


def forks(missed: Tensor, position: Tensor, allowed: Tensor, tolerance: float) -> Tensor:
    """[N] bool: the states that are measured, as few as let no other's value be farther than ``tolerance`` from that of the next.

    ``missed`` [N]: the probability of all tokens but the one taken. As V(s) = p V(s') + (1 - p) V(others), the value before a token differs
    from that after it by at most 1 - p; going backwards these add up until ``tolerance`` is passed. ``allowed`` [N] bool: no other state
    is measured.
    """
    found, loose = [], 0.0
    rows = list(zip(missed.tolist(), position.tolist(), allowed.tolist(), strict=True))
    for row in range(len(rows) - 1, -1, -1):
        if row + 1 == len(rows) or rows[row + 1][1] == 0:
            loose = 0.0  # the outcome is known
        loose += rows[row][0]
        measured = rows[row][2] and loose > tolerance
        loose = 0.0 if measured else loose
        found.append(measured)
    return torch.tensor(found[::-1], dtype=torch.bool)


def state(source: Source) -> Column:
    """The number of the state before each token."""
    return lambda step, batch, signals: torch.tensor(States(batch).numbers)


def response_step(source: Source) -> Column:
    """The place of each token's step in its response."""

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        return step_numbers(token_texts(source.tokenizer, batch.token_id.tolist()), batch.position)

    return column


def value(source: Source) -> Column:
    """V of the state before each token: the share of its continuations that are right, or within the tolerance that of the next state.

    A method that weighs steps has the states measured that its steps begin at, and no others.
    """
    measure, steps = Measuring(source), response_step(source)
    by_step = "response_step" in METHODS[source.spec.method.credit].columns

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        allowed = signals.every_token
        if by_step:
            number = steps(step, batch, signals)
            allowed = (batch.position == 0) | (number != number.roll(1))
        missed = -torch.expm1(signals.old_logprob.double().clamp(max=0))
        rows = forks(missed, batch.position, allowed, measure.tolerance)
        measured = measure.values(step, batch, rows)
        found, own = [], signals.right.double().tolist()
        ends = (batch.position.roll(-1) == 0).tolist()
        for row in range(len(own) - 1, -1, -1):
            following = own[row] if ends[row] else found[-1]
            found.append(measured.get(row, following))
        return torch.tensor(found[::-1], dtype=torch.float32)

    return column


def information(source: Source) -> Column:
    """I(o; r | s) of the state before each token, in nats; 0, which is within the tolerance, where the entropy is no more than that."""
    measure = Measuring(source)

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        measured = measure.information(step, batch, signals.entropy > measure.tolerance)
        return torch.tensor([measured.get(row, 0.0) for row in range(len(signals.entropy))], dtype=torch.float32)

    return column


class Measuring:
    """Measures states of a step's batch with the policy of now, each different state once. What it took is added to ``source.costs``."""

    def __init__(self, source: Source) -> None:
        method = source.spec.method
        if method.measure is None or source.sampling is None or source.pool is None:
            raise ValueError(f"the columns of credit {method.credit!r} need `measure`, an engine and a grading pool.")
        self.source, self.sampling, self.pool = source, source.sampling, source.pool
        self.times, self.tolerance = method.measure.continuations, method.measure.tolerance
        self.golds = {(problem.problem_id, tokens): problem.answer for problem, tokens in source.prompts.problems}

    def values(self, step: int, batch: RolloutBatch, wanted: Tensor) -> dict[int, float]:
        """V by row, at the rows ``wanted`` [N] bool; none where no continuation could be graded.

        A continuation tells of each state that it passes, as it does of that which it was asked for: it was sampled from there on too.
        """
        states = States(batch)
        firsts = states.firsts(wanted)
        mine = [self._start(step, batch, row) for row in self.source.processes.block(list(firsts.values()))]
        with self._engine(step) as engine:
            ends, sampled = self._continuing(engine).ends(mine)
        self._spent(mine, sampled)
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for (number, row), found in zip(firsts.items(), self.source.processes.together(ends), strict=True):
            for (tokens, outcome), times in found.items():
                for passed in states.passed(number, tokens[int(batch.position[row]) :]):
                    counts[passed][outcome] += times
        known = {}
        for row in wanted.nonzero().squeeze(1).tolist():
            count = counts[states.numbers[row]]
            if graded := count["right"] + count["wrong"]:
                known[row] = count["right"] / graded
        return known

    def information(self, step: int, batch: RolloutBatch, wanted: Tensor) -> dict[int, float]:
        """I by row, in nats, at the rows ``wanted`` [N] bool; none where a token that was tried has no two graded continuations."""
        states = States(batch)
        firsts = states.firsts(wanted)
        settings = Settings(self.times, _FEWEST, _MASS, _MOST_TOKENS, *self._sampling, seed=self.source.spec.seed)
        mine = self.source.processes.block(list(firsts.values()))
        tried = self._tried(settings, batch, mine)
        starts = [
            self._start(step, batch, row, times, token)
            for row in mine
            for token, times in zip(tried[row], settings.shared(list(tried[row].values())), strict=True)
        ]
        with self._engine(step) as engine:
            ends, sampled = self._continuing(engine).ends(starts)
        self._spent(starts, sampled)
        each = map(outcomes, ends)
        own = [_information(list(tried[row].values()), [next(each) for _ in tried[row]]) for row in mine]
        found = dict(zip(firsts, self.source.processes.together(own), strict=True))
        rows = wanted.nonzero().squeeze(1).tolist()
        return {row: known for row in rows if (known := found[states.numbers[row]]) is not None}

    @property
    def _sampling(self) -> tuple[float, float, int]:
        sampling = self.source.spec.study.training.sampling
        return sampling.temperature, sampling.top_p, sampling.max_response_tokens

    def _start(
        self, step: int, batch: RolloutBatch, row: int, times: int | None = None, token: int | None = None
    ) -> Start:
        """Continuations of the state of a row, or of what ``token`` makes of it; a seed is one of the state where it was met first."""
        index, position = int(batch.response[row]), int(batch.position[row])
        rollout = batch.rollouts[index]
        begun = rollout.response.token_ids[:position]
        place = (step, int(batch.group[index]), rollout.problem_id, rollout.sample, position)
        names = (*place,) if token is None else (*place, token)
        times = self.times if times is None else times
        seeds = [derive_seed(self.source.spec.seed, "measure", *names, number) for number in range(times)]
        gold = self.golds[rollout.problem_id, rollout.prompt_tokens]
        return Start(rollout.prompt_tokens, begun if token is None else (*begun, token), gold, seeds)

    def _tried(self, settings: Settings, batch: RolloutBatch, rows: list[int]) -> dict[int, dict[int, float]]:
        """The tokens to try at the states of ``rows``, with their probability."""
        policy, found = self.source.policy, {}
        of_response: dict[int, list[int]] = defaultdict(list)
        for row, index in zip(rows, batch.response[rows].tolist(), strict=True):
            of_response[index].append(row)
        for index, chosen in of_response.items():
            sequence = batch.sequences[index]
            ids = torch.tensor([[*sequence.prompt, *sequence.response]], device=policy.device)
            places = batch.position[chosen] + len(sequence.prompt) - 1
            with torch.inference_mode():
                logits = policy(input_ids=ids, logits_to_keep=places.to(policy.device), use_cache=False).logits[0]
                candidates = settings.candidates(logits, batch.token_id[chosen].to(policy.device))[2]
            found |= dict(zip(chosen, candidates, strict=True))
        return found

    @contextmanager
    def _engine(self, step: int) -> Iterator[Engine]:
        """The engine at the weights of now: one with memory of its own was put to rest before the step's scoring."""
        self.sampling.follow(f"before measuring in step {step}")
        yield self.sampling.engine
        self.sampling.rest()

    def _continuing(self, engine: Engine) -> Continuations:
        return Continuations(self.source.policy, engine, self.pool, self.source.tokenizer, *self._sampling)

    def _spent(self, starts: list[Start], sampled: int) -> None:
        """Add up over all processes what these starts took."""
        mine = {
            "measured_starts": len(starts),
            "measured_continuations": sum(len(start.seeds) for start in starts),
            "measured_tokens": sampled,
            "measured_prefix_tokens": sum(len(start.prompt) + len(start.begun) for start in starts),
        }
        for each in self.source.processes.gather(mine):
            self.source.costs.update(each)


def _information(probability: list[float], counts: list[Counter[str]]) -> float | None:
    """I of a state in nats, from its tokens' probabilities and how their continuations ended; 0 where there is a single one."""
    right = np.array([float(count["right"]) for count in counts])
    trials = right + [count["wrong"] for count in counts]
    if len(counts) == 1:
        return 0.0
    if trials.min() < 2:
        return None
    return estimate.information(estimate.Branches(np.array(probability), right, trials)).value
