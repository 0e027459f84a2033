"""Continuations of partial responses, whose outcomes measure the value of the beginning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.engines import Engine
from tokencredit.engines.ending import end_tokens, finished_response
from tokencredit.engines.lengths import positions
from tokencredit.grading import GradingPool
from tokencredit.records import Request

OUTCOMES = ("right", "wrong", "ungraded")

# How often a start ended in a whole response with its outcome, one of ``OUTCOMES``.
Ends = Counter[tuple[tuple[int, ...], str]]


@dataclass(frozen=True)
class Start:
    """``begun``, a response so far, after ``prompt``, and the seed of each of its continuations. ``gold``: of the problem."""

    prompt: tuple[int, ...]
    begun: tuple[int, ...]
    gold: str
    seeds: Sequence[int]


@dataclass(frozen=True)
class Continuations:
    """Everything that continues: ``engine`` samples from ``policy`` at ``temperature`` and ``top_p``, and ``pool`` grades.

    ``max_tokens``: of a whole response, its beginning and its continuation together.
    """

    policy: PreTrainedModel
    engine: Engine
    pool: GradingPool
    tokenizer: PreTrainedTokenizerBase
    temperature: float
    top_p: float
    max_tokens: int

    def ends(self, starts: Sequence[Start]) -> tuple[list[Ends], int]:
        """How each start ended, and the tokens that were sampled.

        A response that has ended already, or reached its limit, is graded once and counts as often as it would be continued.
        """
        asked, ended = [], Counter[tuple[int, tuple[int, ...]]]()
        for place, start in enumerate(starts):
            room = self._limit(start.prompt) - len(start.begun)
            if room <= 0 or (start.begun and start.begun[-1] in self._end_tokens):
                ended[place, start.begun] += len(start.seeds)
            else:
                prompt = (*start.prompt, *start.begun)
                asked += [(place, Request(prompt, seed, room)) for seed in start.seeds]
        sampled = self.engine.sample(
            [request for _, request in asked],
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
        )
        for (place, _), continuation in zip(asked, sampled, strict=True):
            ended[place, (*starts[place].begun, *continuation.token_ids)] += 1
        said = {key: (starts[key[0]].gold, self._text(key[1])) for key in ended}
        different = list(dict.fromkeys(said.values()))
        outcome = dict(zip(different, (grade.outcome for grade in self.pool.grade_many(different)), strict=True))
        found: list[Ends] = [Counter() for _ in starts]
        for (place, tokens), times in ended.items():
            found[place][tokens, outcome[said[place, tokens]]] += times
        return found, sum(len(continuation.token_ids) for continuation in sampled)

    def _limit(self, prompt: tuple[int, ...]) -> int:
        """The most tokens of a whole response."""
        return min(self.max_tokens, self._positions - len(prompt))

    def _text(self, token_ids: tuple[int, ...]) -> str:
        return finished_response(token_ids, (), self._end_tokens, self.tokenizer).text

    @cached_property
    def _positions(self) -> int:
        return positions(self.policy)

    @cached_property
    def _end_tokens(self) -> frozenset[int]:
        return end_tokens(self.policy, self.tokenizer)


def outcomes(ends: Ends) -> Counter[str]:
    """How often each outcome was met."""
    counted: Counter[str] = Counter()
    for (_, outcome), times in ends.items():
        counted[outcome] += times
    return counted
