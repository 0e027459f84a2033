"""Measuring: at every state of stored responses, try the plausible next tokens, continue from each, and count what is right."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit import files
from tokencredit.engines import Engine
from tokencredit.engines.canary import BOUNDS
from tokencredit.engines.ending import end_tokens, finished_response
from tokencredit.engines.lengths import positions
from tokencredit.engines.sampling import nucleus
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.oracle.responses import Taken
from tokencredit.progress import bar
from tokencredit.records import Request
from tokencredit.seeds import derive_seed

KEY = ["problem_id", "cell", "sample", "position"]
OUTCOMES = ("right", "wrong", "ungraded")
STATES = [*KEY, "token_id", "token", "entropy", "logprob", "tried", "reward", "quadrant"]
TOKENS = [*KEY, "token_id", "probability", "continuations"]
BRANCHES = [*KEY, "token_id", "probability", *OUTCOMES]
_ROWS = 256  # positions whose whole distributions are held at a time, in float64


@dataclass(frozen=True)
class Settings:
    """How a state is measured: the tokens that hold ``mass`` of the probability are tried, at most ``most_tokens``, and the one taken.

    They share the ``continuations`` of the state by their probability, at least ``fewest`` for each: what a likely token is worth weighs
    more in I and is measured better. Continuations are drawn at ``temperature`` and ``top_p``, up to ``max_tokens`` tokens of the whole
    response.
    """

    continuations: int
    fewest: int
    mass: float
    most_tokens: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Oracle:
    """Everything that measures. ``engine`` samples from ``policy``, and ``pool`` grades."""

    policy: PreTrainedModel
    engine: Engine
    pool: GradingPool
    tokenizer: PreTrainedTokenizerBase
    settings: Settings

    def states(self, responses: list[Taken]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The states of ``responses`` (columns ``STATES``), and the tokens to try at them (``TOKENS``).

        entropy: of the next token, nats, over the whole vocabulary at the sampling temperature; logprob: of the token that was taken, in
        the same distribution; probability: of the token in the distribution that is sampled from, which ``top_p`` may restrict; tried:
        their sum; continuations: how many the token gets, 0 where it is its state's only one.
        """
        found = [self._candidates(each) for each in responses]
        states, tokens = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
        return states, tokens

    def branches(
        self, responses: list[Taken], tokens: pd.DataFrame, work: Path, progress: bool = False
    ) -> pd.DataFrame:
        """``tokens`` with raw counts (columns ``BRANCHES``).

        A state with a single candidate is not continued: its counts are 0. A token that ends its response is graded once and counts as
        often as it would be continued. Ungraded continuations are neither right nor wrong.

        Results are saved per problem in ``work``; a restarted measurement skips finished problems.
        """
        taken = {(each.problem_id, each.cell, each.sample): each for each in responses}
        parts = []
        with bar("measuring", len(tokens), progress) as shown:
            for number, (_, part) in enumerate(tokens.groupby("problem_id", sort=False)):
                path = work / f"{number:06d}.parquet"
                if not path.exists():
                    files.write_parquet(path, self._count(taken, part.reset_index(drop=True)))
                parts.append(files.read_parquet(path, BRANCHES))
                shown.update(len(part))
        return pd.concat(parts, ignore_index=True)

    def cost(self, states: pd.DataFrame, tokens: pd.DataFrame) -> str:
        """The work ahead, in a sentence. A continuation is estimated to be as long as the rest of the stored response."""
        length = states.groupby(KEY[:-1])["position"].transform("size")
        left = states[KEY].assign(left=length - states["position"] - 1)
        several = tokens[tokens["continuations"] > 0].merge(left, on=KEY)
        times = several["continuations"]
        return (
            f"{len(states[KEY[:-1]].drop_duplicates())} responses to {states['problem_id'].nunique()} problems: {len(states):,} states, "
            f"{len(several[KEY].drop_duplicates()):,} of them with several candidates, {len(several):,} tokens to try, "
            f"{times.sum():,} continuations, about {several['left'] @ times:,} tokens"
        )

    def _candidates(self, taken: Taken) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The states of a response, and the tokens to try at them, without counts."""
        own = torch.tensor(taken.token_ids, device=self.policy.device)
        ids = torch.cat([torch.tensor(taken.prompt, device=self.policy.device), own])[None]
        with torch.inference_mode():
            logits = self.policy(input_ids=ids, logits_to_keep=len(own) + 1, use_cache=False).logits[0, :-1]
            parts = [self._at(*part) for part in zip(logits.split(_ROWS), own.split(_ROWS), strict=True)]
        entropy, logprob, tried = ([value for part in parts for value in part[column]] for column in range(3))
        name = (taken.problem_id, taken.cell, taken.sample)
        masses = [sum(each.values()) for each in tried]
        states = [
            (
                *name,
                position,
                row.token_id,
                row.token,
                entropy[position],
                logprob[position],
                mass,
                row.reward,
                row.quadrant,
            )
            for position, (row, mass) in enumerate(zip(taken.record.itertuples(), masses, strict=True))
        ]
        tokens = [
            (*name, position, token, probability, times)
            for position, found in enumerate(tried)
            for (token, probability), times in zip(found.items(), self._shared(list(found.values())), strict=True)
        ]
        return pd.DataFrame(states, columns=STATES), pd.DataFrame(tokens, columns=TOKENS)

    def _count(self, taken: dict[tuple[str, str, int], Taken], tokens: pd.DataFrame) -> pd.DataFrame:
        """``tokens`` with the counts of ``OUTCOMES``."""
        said = self._ended(taken, tokens)
        for limit, asked in self._requests(taken, tokens).items():
            sampled = self.engine.sample(
                [request for *_, request in asked],
                temperature=self.settings.temperature,
                top_p=self.settings.top_p,
                max_tokens=limit,
            )
            for (place, gold, before, _), continuation in zip(asked, sampled, strict=True):
                said[place, gold, self._text((*before, *continuation.token_ids))] += 1
        different = list(dict.fromkeys((gold, text) for _, gold, text in said))
        outcome = dict(zip(different, (grade.outcome for grade in self.pool.grade_many(different)), strict=True))
        counted: Counter[tuple[int, str]] = Counter()
        for (place, gold, text), times in said.items():
            counted[place, outcome[gold, text]] += times
        counts = {name: [counted[place, name] for place in tokens.index] for name in OUTCOMES}
        return tokens.drop(columns="continuations").assign(**counts)

    def _at(self, logits: Tensor, own: Tensor) -> tuple[list[float], list[float], list[dict[int, float]]]:
        """Of each position: entropy, log-prob of the token taken, and the tokens to try with their probability; ``logits`` [T, V]."""
        settings = self.settings
        logprob = torch.log_softmax(logits.double() / settings.temperature, dim=-1)
        probability = logprob.exp()
        entropy = -(probability * logprob).nan_to_num(0.0).sum(-1)
        if settings.top_p < 1:
            probability = nucleus(probability, settings.top_p)
            probability = probability / probability.sum(-1, keepdim=True)
        ordered, token = probability.sort(dim=-1, descending=True, stable=True)
        needed = (
            ((ordered.cumsum(-1) - ordered < settings.mass) & (ordered > 0)).sum(-1).clamp(max=settings.most_tokens)
        )
        tried = []
        for row, taken in enumerate(own.tolist()):
            chosen = dict.fromkeys([*token[row, : needed[row]].tolist(), taken])
            tried.append({each: float(probability[row, each]) for each in chosen})
        return entropy.tolist(), logprob.gather(-1, own[:, None])[:, 0].tolist(), tried

    def _shared(self, probability: list[float]) -> list[int]:
        """How often each token of a state is continued."""
        if len(probability) == 1:
            return [0]
        settings, mass = self.settings, sum(probability)
        return [max(settings.fewest, math.ceil(settings.continuations * each / mass)) for each in probability]

    def _limit(self, taken: Taken) -> int:
        """The most tokens of a whole response."""
        return min(self.settings.max_tokens, positions(self.policy) - len(taken.prompt))

    def _begun(
        self, taken: dict[tuple[str, str, int], Taken], tokens: pd.DataFrame
    ) -> Iterator[tuple[Any, Taken, tuple[int, ...], bool]]:
        """Of each token to continue from: its row, its response, this one so far with the token, and whether it ends there."""
        for row in tokens[tokens["continuations"] > 0].itertuples():
            response = taken[row.problem_id, row.cell, row.sample]
            before = (*response.token_ids[: row.position], row.token_id)
            yield row, response, before, row.token_id in self._end_tokens or len(before) >= self._limit(response)

    def _ended(self, taken: dict[tuple[str, str, int], Taken], tokens: pd.DataFrame) -> Counter[tuple[int, str, str]]:
        """How often a row of ``tokens`` ends in a text, with its gold: here those that end at once."""
        said: Counter[tuple[int, str, str]] = Counter()
        for row, response, before, ends in self._begun(taken, tokens):
            if ends:
                said[row.Index, response.gold, self._text(before)] += row.continuations
        return said

    def _requests(
        self, taken: dict[tuple[str, str, int], Taken], tokens: pd.DataFrame
    ) -> dict[int, list[tuple[int, str, tuple[int, ...], Request]]]:
        """Row, gold, response so far and request of every continuation, by the most tokens that it may have."""
        found = defaultdict(list)
        for row, response, before, ends in self._begun(taken, tokens):
            if ends:
                continue
            parts = (row.problem_id, row.cell, row.sample, row.position, row.token_id)
            found[self._limit(response) - len(before)] += [
                (row.Index, response.gold, before, Request((*response.prompt, *before), seed))
                for seed in (
                    derive_seed(self.settings.seed, "oracle", *parts, number) for number in range(row.continuations)
                )
            ]
        return found

    def _text(self, token_ids: tuple[int, ...]) -> str:
        return finished_response(token_ids, (), self._end_tokens, self.tokenizer).text

    @cached_property
    def _end_tokens(self) -> frozenset[int]:
        return end_tokens(self.policy, self.tokenizer)


def check_sampled_by(states: pd.DataFrame, responses: list[Taken], mixed_precision: str, model: str | Path) -> None:
    """Refuse ``states`` where ``model`` does not give the stored tokens the log-probs that training recorded of them."""
    recorded = pd.concat([each.record for each in responses], ignore_index=True)
    off = (states["logprob"] - recorded["old_logprob"]).abs().mean()
    if not off <= BOUNDS[mixed_precision]:
        raise UserError(
            f"{model}: its log-probs of the stored tokens differ by {off:.3g} nats on average from those that training recorded, "
            f"{BOUNDS[mixed_precision]:g} are allowed: it is not the model that sampled these responses."
        )
