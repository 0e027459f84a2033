"""The nouns shared by all stages, and by the configuration, which knows them without the packages of the stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "math"  # the grader, where a data set and a benchmark name none


@dataclass(frozen=True)
class Bounds:
    """What the audit of a grader lets pass.

    Largest shares: of the mutants that are graded right and not provably equal, and of the rewritings that are not graded right.
    """

    mutants_right: float = 0.0
    rewritings_not_right: float = 0.005


@dataclass(frozen=True)
class Problem:
    """One question with its gold answer."""

    problem_id: str
    problem: str
    answer: str


def problems_from(frame: pd.DataFrame) -> list[Problem]:
    """The problems of a ``problems.parquet`` table, in its order."""
    return [
        Problem(row.problem_id, row.problem, row.answer)
        for row in frame[["problem_id", "problem", "answer"]].itertuples(index=False)
    ]


@dataclass(frozen=True)
class Request:
    """What is asked of a sampling engine for one response: the prompt's tokens and the seed of this very sample.

    ``max_tokens``: the most tokens of this response, where they are fewer than the call's.
    """

    prompt_tokens: tuple[int, ...]
    seed: int
    max_tokens: int | None = None

    def limit(self, max_tokens: int) -> int:
        """The most tokens of the response in a call that allows ``max_tokens``."""
        return max_tokens if self.max_tokens is None else min(max_tokens, self.max_tokens)


@dataclass(frozen=True)
class Response:
    """What an engine gives back for one request.

    ``token_ids`` end with the end-of-sequence token if the model ended the response itself (``finish_reason`` "stop"); a response that
    reached the token limit has ``finish_reason`` "length". ``logprobs``: the sampler's own, nats, of each token; empty where it has none.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str
    logprobs: tuple[float, ...] = field(default=())


@dataclass(frozen=True)
class Rollout:
    """One graded response of training: the trainer's unit before tokens are laid out as rows.

    ``begun``: how many of its first tokens are those of a failed response, from which it goes on.
    """

    problem_id: str
    sample: int
    prompt_tokens: tuple[int, ...]
    response: Response
    outcome: str
    reward: float
    begun: int = 0
