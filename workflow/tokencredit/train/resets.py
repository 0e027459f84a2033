"""Restarts in the middle of failed responses (arXiv 2605.25507), and the column that says where: ``begun``.

Half of a prompt's responses are sampled from the prompt; the other half go on from a place in the first one that failed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tokencredit.config import Recipe, Restart
from tokencredit.credit import TokenSignals
from tokencredit.engines import Engine, OnResponse
from tokencredit.engines.ending import response_text, token_texts
from tokencredit.records import Request, Response, Rollout
from tokencredit.seeds import generator
from tokencredit.train.rollouts import Asked, Collected, RolloutBatch, Sampler, count, keep_group
from tokencredit.train.steps import first_tokens

if TYPE_CHECKING:
    from tokencredit.train.columns import Column, Source

# Among how many responses a failed one is looked for, for each of a group: twelve for groups of four, as in the authors' code.
_LOOKED_AT = 3


def begun(source: Source) -> Column:
    """[N] int64: how many of the first tokens of the token's response are those of a failed one."""

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        return torch.tensor([rollout.begun for rollout in batch.rollouts])[batch.response]

    return column


class ResetSampler:
    """Two groups for each prompt, each of half the responses that ``sampler`` has in one.

    The first is of responses to the prompt, without the first one that failed. The second goes on from that one: from the beginning of a
    step, drawn by (seed, draw, problem), or from its own beginning. A prompt without a failed response has one group of full size.
    """

    def __init__(self, sampler: Sampler, tokenizer: PreTrainedTokenizerBase, restart: Restart) -> None:
        self.sampler, self.tokenizer, self.restart = sampler, tokenizer, restart
        self.half = sampler.group_size // 2
        self.looked_at = _LOOKED_AT * self.half

    def collect(self, prompts: int, recipe: Recipe, drawn: int) -> Collected:
        """The groups of ``prompts`` prompts, starting at draw number ``drawn``: each prompt's first group, then its second.

        Right and truncated responses are counted among those that every prompt has sampled: where sampling goes on until one fails,
        right ones are more frequent.
        """
        collected = Collected(groups=[], drawn=drawn + prompts)
        responses = self._responses(range(drawn, drawn + prompts), range(self.half + 1), recipe, collected)
        for own in responses.values():
            count(own, collected)
        unfailed = [draw for draw, own in responses.items() if _failed(own) is None]
        for draw, more in self._responses(unfailed, range(self.half + 1, self.looked_at), recipe, collected).items():
            responses[draw] += more
        failed = {draw: found for draw, own in responses.items() if (found := _failed(own))}
        restarted = self._restarted(failed, recipe, collected)
        for draw, own in responses.items():
            others = [rollout for rollout in own if rollout is not failed.get(draw)]
            keep_group(others[: self.half if draw in failed else 2 * self.half], recipe, collected)
            if draw in failed:
                keep_group(restarted[draw], recipe, collected)
        sampled = [rollout for own in (*responses.values(), *restarted.values()) for rollout in own]
        collected.ungraded = sum(rollout.outcome == "ungraded" for rollout in sampled)
        collected.resets = _metrics(sampled, failed, restarted)
        return collected

    def _responses(
        self, draws: Iterable[int], samples: range, recipe: Recipe, collected: Collected
    ) -> dict[int, list[Rollout]]:
        """By draw its graded responses of the numbers ``samples``."""
        asked = {draw: [self.sampler.asked(draw, sample) for sample in samples] for draw in draws}
        return self._answered(self.sampler.engine, asked, recipe, collected)

    def _restarted(self, failed: dict[int, Rollout], recipe: Recipe, collected: Collected) -> dict[int, list[Rollout]]:
        """By draw the graded responses that go on from its failed one, each as a whole."""
        samples = range(self.looked_at, self.looked_at + self.half)
        asked = {draw: [self.sampler.asked(draw, sample) for sample in samples] for draw in failed}
        kept = {draw: self._kept(draw, rollout) for draw, rollout in failed.items()}
        of_request = {request: kept[draw] for draw, own in asked.items() for _, _, request in own}
        engine = _GoingOn(self.sampler.engine, self.tokenizer, of_request)
        answered = self._answered(engine, asked, recipe, collected)
        return {
            draw: [dataclasses.replace(rollout, begun=len(kept[draw].token_ids)) for rollout in own]
            for draw, own in answered.items()
        }

    def _answered(
        self, engine: Engine, asked: dict[int, list[Asked]], recipe: Recipe, collected: Collected
    ) -> dict[int, list[Rollout]]:
        requests = [each for own in asked.values() for each in own]
        rollouts = iter(self.sampler.answered(engine, requests, recipe, collected) if requests else [])
        return {draw: [next(rollouts) for _ in own] for draw, own in asked.items()}

    def _kept(self, draw: int, failed: Rollout) -> _Beginning:
        tokens = failed.response.token_ids
        places = first_tokens(token_texts(self.tokenizer, tokens)) if self.restart == "random-step" else [0]
        place = places[generator(self.sampler.seed, "reset", draw, failed.problem_id).integers(len(places))]
        return _Beginning(tokens[:place], failed.response.logprobs[:place])


@dataclass(frozen=True)
class _Beginning:
    """The first tokens of a response, with the sampler's log-probs (nats)."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class _GoingOn:
    """``engine``, which goes on from the beginning that each request has: its responses are whole ones, and are graded as such."""

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    beginnings: dict[Request, _Beginning]

    @property
    def name(self) -> str:
        return self.engine.name

    def sample(
        self,
        requests: list[Request],
        *,
        temperature: float,
        top_p: float,
        max_tokens: int,
        progress: bool = False,
        on_response: OnResponse | None = None,
    ) -> list[Response]:
        beginnings = [self.beginnings[request] for request in requests]
        asked = [
            Request((*request.prompt_tokens, *kept.token_ids), request.seed, max_tokens - len(kept.token_ids))
            for request, kept in zip(requests, beginnings, strict=True)
        ]
        found: dict[int, Response] = {}

        def whole(place: int, response: Response) -> None:
            found[place] = self._whole(beginnings[place], response)
            if on_response is not None:
                on_response(place, found[place])

        self.engine.sample(
            asked, temperature=temperature, top_p=top_p, max_tokens=max_tokens, progress=progress, on_response=whole
        )
        return [found[place] for place in range(len(requests))]

    def _whole(self, kept: _Beginning, response: Response) -> Response:
        tokens, logprobs = (*kept.token_ids, *response.token_ids), (*kept.logprobs, *response.logprobs)
        said = tokens[:-1] if response.finish_reason == "stop" else tokens
        return Response(response_text(self.tokenizer, said), tokens, response.finish_reason, logprobs)


def _failed(responses: list[Rollout]) -> Rollout | None:
    """The first wrong one."""
    return next((rollout for rollout in responses if rollout.outcome == "wrong"), None)


def _metrics(
    sampled: list[Rollout], failed: dict[int, Rollout], restarted: dict[int, list[Rollout]]
) -> dict[str, float | int | None]:
    """What restarting took and gave.

    ``reset_groups``: prompts with a failed response; ``reset_place``: where these were cut, as a mean share of their tokens;
    ``reset_solve_rate``: right ones of the responses that go on; ``reset_prefix_tokens``: the tokens that these had before;
    ``sampled_tokens``: all that were sampled, those of responses that nothing is learned from too.
    """
    places = [restarted[draw][0].begun / len(rollout.response.token_ids) for draw, rollout in failed.items()]
    right = [rollout.outcome == "right" for own in restarted.values() for rollout in own]
    prefixes = sum(rollout.begun for rollout in sampled)
    return {
        "reset_groups": len(failed),
        "reset_place": sum(places) / len(places) if places else None,
        "reset_solve_rate": sum(right) / len(right) if right else None,
        "reset_prefix_tokens": prefixes,
        "sampled_tokens": sum(len(rollout.response.token_ids) for rollout in sampled) - prefixes,
    }
