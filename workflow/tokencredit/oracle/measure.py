"""Measuring: at every state of stored responses, try the plausible next tokens, continue from each, and count what is right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit import files
from tokencredit.engines import Engine
from tokencredit.engines.canary import BOUNDS
from tokencredit.engines.sampling import nucleus
from tokencredit.errors import UserError
from tokencredit.grading import GradingPool
from tokencredit.oracle.continuations import OUTCOMES, Continuations, Start, outcomes
from tokencredit.oracle.responses import Taken
from tokencredit.progress import bar
from tokencredit.seeds import derive_seed, generator

KEY = ["problem_id", "cell", "sample", "position"]
STATES = [*KEY, "token_id", "token", "entropy", "logprob", "tried", "reward", "quadrant"]
TOKENS = [*KEY, "token_id", "probability", "continuations", "rest"]
BRANCHES = [*KEY, "token_id", "probability", *OUTCOMES]
REST = -1  # in place of a token's id: all tokens of a state that are not tried, as one branch
LIKELY = 0.05  # the probability from which a token is likely
_ROWS = 256  # positions whose whole distributions are held at a time, in float64


@dataclass(frozen=True)
class Settings:
    """How a state is measured: the tokens that hold ``mass`` of the probability are tried, at most ``most_tokens``, and the one taken.

    They share the ``continuations`` of the state by their probability, at least ``fewest`` for each and ``fewest_likely`` for each likely
    one: what a likely token is worth weighs more in I and is measured better. Where several are tried, all others are one branch, ``REST``,
    with ``rest`` continuations that begin with a token drawn from them. Continuations are drawn at ``temperature`` and ``top_p``, up to
    ``max_tokens`` tokens of the whole response.
    """

    continuations: int
    fewest: int
    mass: float
    most_tokens: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    rest: int = 0
    fewest_likely: int = 0

    def candidates(
        self, logits: Tensor, own: Tensor
    ) -> tuple[list[float], list[float], list[dict[int, float]], Tensor]:
        """Of each position: entropy, log-prob of the token taken, the tokens to try with their probability, and that of all tokens [T, V].

        ``logits`` [T, V], before the temperature; ``own`` [T] int64, the tokens taken.
        """
        logprob = torch.log_softmax(logits.double() / self.temperature, dim=-1)
        probability = logprob.exp()
        entropy = -(probability * logprob).nan_to_num(0.0).sum(-1)
        if self.top_p < 1:
            probability = nucleus(probability, self.top_p)
            probability = probability / probability.sum(-1, keepdim=True)
        ordered, token = probability.sort(dim=-1, descending=True, stable=True)
        needed = ((ordered.cumsum(-1) - ordered < self.mass) & (ordered > 0)).sum(-1).clamp(max=self.most_tokens)
        tried = []
        for row, taken in enumerate(own.tolist()):
            chosen = dict.fromkeys([*token[row, : needed[row]].tolist(), taken])
            tried.append({each: float(probability[row, each]) for each in chosen})
        return entropy.tolist(), logprob.gather(-1, own[:, None])[:, 0].tolist(), tried, probability

    def shared(self, probability: list[float]) -> list[int]:
        """How often each token of a state is continued; a state's only one is not."""
        if len(probability) == 1:
            return [0]
        mass = sum(probability)
        return [
            max(
                self.fewest,
                self.fewest_likely if each >= LIKELY else 0,
                math.ceil(self.continuations * each / mass),
            )
            for each in probability
        ]

    def others(self, probability: Tensor, tried: Collection[int], *state: object) -> tuple[float, Counter[int]]:
        """The mass of the tokens of a state that are not ``tried``, and how often each is drawn as the first of a continuation.

        ``probability`` [V]; ``state``: its names, which the draws depend on.
        """
        if not self.rest or len(tried) == 1:
            return 0.0, Counter()
        left = probability.numpy(force=True).copy()
        left[list(tried)] = 0.0
        mass = float(left.sum())
        if mass <= 0:
            return 0.0, Counter()
        drawn = generator(self.seed, "oracle rest", *state).choice(len(left), size=self.rest, p=left / mass)
        return mass, Counter(drawn.tolist())


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
        their sum; continuations: how many the token gets, 0 where it is its state's only one; rest: whether it stands for all tokens that
        are not tried, whose probability it has.
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
                    files.write_parquet(path, self.count(taken, part)[0])
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
        name = (taken.problem_id, taken.cell, taken.sample)
        measures: list[tuple[float, float]] = []
        tokens: list[tuple[Any, ...]] = []
        masses: list[float] = []
        with torch.inference_mode():
            logits = self.policy(input_ids=ids, logits_to_keep=len(own) + 1, use_cache=False).logits[0, :-1]
            for part, taken_here in zip(logits.split(_ROWS), own.split(_ROWS), strict=True):
                entropy, logprob, tried, probability = self.settings.candidates(part, taken_here)
                for row, found in enumerate(tried):
                    state = (*name, len(masses))
                    mass, others = self.settings.others(probability[row], found, *state)
                    times = self.settings.shared(list(found.values()))
                    tokens += [(*state, *token, each, False) for token, each in zip(found.items(), times, strict=True)]
                    tokens += [(*state, token, mass, each, True) for token, each in others.items()]
                    masses.append(sum(found.values()) + mass)
                measures += zip(entropy, logprob, strict=True)
        states = [
            (*name, position, row.token_id, row.token, *measure, mass, row.reward, row.quadrant)
            for position, (row, measure, mass) in enumerate(
                zip(taken.record.itertuples(), measures, masses, strict=True)
            )
        ]
        return pd.DataFrame(states, columns=STATES), pd.DataFrame(tokens, columns=TOKENS)

    def count(self, taken: dict[tuple[str, str, int], Taken], tokens: pd.DataFrame) -> tuple[pd.DataFrame, int]:
        """``tokens`` with the counts of ``OUTCOMES``, and how many tokens were sampled for them. ``taken``: the responses by their key.

        Those of a state's rest become one branch.
        """
        settings, tokens = self.settings, tokens.reset_index(drop=True)
        asked = tokens[tokens["continuations"] > 0]
        starts = []
        for row in asked.itertuples():
            response = taken[row.problem_id, row.cell, row.sample]
            parts = (row.problem_id, row.cell, row.sample, row.position, row.token_id, *(["rest"] if row.rest else []))
            seeds = [derive_seed(settings.seed, "oracle", *parts, number) for number in range(row.continuations)]
            begun = (*response.token_ids[: row.position], row.token_id)
            starts.append(Start(response.prompt, begun, response.gold, seeds))
        continuing = Continuations(
            self.policy,
            self.engine,
            self.pool,
            self.tokenizer,
            settings.temperature,
            settings.top_p,
            settings.max_tokens,
        )
        ends, sampled = continuing.ends(starts)
        found = dict(zip(asked.index, map(outcomes, ends), strict=True))
        counts = {name: [found[place][name] if place in found else 0 for place in tokens.index] for name in OUTCOMES}
        counted = tokens.assign(**counts, token_id=tokens["token_id"].where(~tokens["rest"].astype(bool), REST))
        how = {"probability": "first", **dict.fromkeys(OUTCOMES, "sum")}
        return counted.groupby([*KEY, "token_id"], sort=False, as_index=False).agg(how)[BRANCHES], sampled


def check_sampled_by(states: pd.DataFrame, responses: list[Taken], mixed_precision: str, model: str | Path) -> None:
    """Refuse ``states`` where ``model`` does not give the stored tokens the log-probs that training recorded of them."""
    recorded = pd.concat([each.record for each in responses], ignore_index=True)
    off = (states["logprob"] - recorded["old_logprob"]).abs().mean()
    if not off <= BOUNDS[mixed_precision]:
        raise UserError(
            f"{model}: its log-probs of the stored tokens differ by {off:.3g} nats on average from those that training recorded, "
            f"{BOUNDS[mixed_precision]:g} are allowed: it is not the model that sampled these responses."
        )
