"""The canary: a few fixed tokens by which an engine with weights of its own shows, after each push, that these are the policy's.

Without it a sampler with old weights, an old head, old key-value blocks or another temperature gives plausible text, and the run
trains a little worse, unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokencredit.engines import MirrorEngine
from tokencredit.errors import UserError
from tokencredit.records import Request
from tokencredit.seeds import derive_seed, generator

if TYPE_CHECKING:
    from tokencredit.config import Sampling
    from tokencredit.policy import Sequence

# Largest mean of |engine - trainer| over the tokens, nats. In float32 the two agree to 1e-5, in bfloat16 to a few hundredths.
BOUNDS = {"no": 0.01, "bf16": 0.1}
# A trainer that has moved by so many times the noise is followed, or it is not: what lies between the two is then at most this share of it.
_CLEARLY, _SHARE = 5.0, 0.5
# The smallest noise that is believed in, as a share of the bound.
_FLOOR = 0.01

PROMPTS, TOKENS, UNLIKELY = 4, 8, 2


@dataclass(frozen=True)
class Reading:
    """Log-probs (nats) of the same tokens, [n] each, at one moment of a run."""

    when: str
    engine: Tensor
    trainer: Tensor

    @property
    def difference(self) -> Tensor:
        return self.engine.double() - self.trainer.double()


def judge(now: Reading, anchor: Reading | None, bound: float) -> Reading:
    """Whether the engine is the trainer's copy: ``UserError`` where it is not, else the anchor for the next reading.

    Two things are asked. The log-probs agree: mean |engine - trainer| <= ``bound``. And they follow: once the trainer has clearly moved
    since ``anchor`` (root mean square above 5 times the noise, which is the anchor's own disagreement, or a hundredth of the bound if
    that is more), the engine has moved with it, to within half of that move. The second catches what a bound for low precision lets pass.
    The anchor stays until the trainer has clearly moved, so that small updates add up.
    """
    if not bool(torch.isfinite(now.engine).all() and torch.isfinite(now.trainer).all()):
        raise UserError(f"{now.when}: the log-probs of the canary's tokens are not all finite.")
    apart = float(now.difference.abs().mean())
    if apart > bound:
        raise UserError(
            f"{now.when}: the engine's log-probs of {len(now.engine)} fixed tokens are {apart:.3g} nats from the trainer's on average; "
            f"{bound:g} is allowed. It samples from other weights or at another temperature than training assumes, or computes "
            f"this architecture otherwise than the trainer."
        )
    if anchor is None:
        return now
    noise = max(_rms(anchor.difference), _FLOOR * bound)
    moved = _rms(now.trainer.double() - anchor.trainer.double())
    if moved <= _CLEARLY * noise:
        return anchor
    behind = _rms(now.difference - anchor.difference)
    if behind > _SHARE * moved:
        engine = _rms(now.engine.double() - anchor.engine.double())
        raise UserError(
            f"{now.when}: since {anchor.when} the trainer's log-probs of {len(now.engine)} fixed tokens moved by {moved:.3g} nats, the "
            f"engine's by {engine:.3g}, and the two moves are {behind:.3g} apart. The engine still samples from old weights, or from some "
            f"old ones."
        )
    return now


class Canary:
    """An engine under watch: ``push`` its weights and see that it took them over.

    ``trainer`` gives the trainer's log-probs (nats, at the sampling temperature) of the response tokens of ``sequences``, [n], as
    ``engine.score`` gives the engine's. ``bound``: one of ``BOUNDS``. ``watch`` makes one.
    """

    def __init__(
        self,
        engine: MirrorEngine,
        trainer: Callable[[list[Sequence]], Tensor],
        sequences: list[Sequence],
        bound: float,
    ) -> None:
        self.engine, self.trainer, self.sequences, self.bound = engine, trainer, sequences, bound
        self._anchor: Reading | None = None

    def push(self, weights: Iterable[tuple[str, Tensor]], when: str) -> dict[str, float]:
        """Push, then ``check``."""
        self.engine.push_weights(weights)
        return self.check(when)

    def check(self, when: str) -> dict[str, float]:
        """Read both sides' log-probs and ``judge`` them; ``when`` names the moment in errors. The mean and largest difference, nats."""
        now = Reading(when, self.engine.score(self.sequences), self.trainer(self.sequences))
        self._anchor = judge(now, self._anchor, self.bound)
        apart = now.difference.abs()
        return {"canary_mean": float(apart.mean()), "canary_max": float(apart.max())}


def watch(
    engine: MirrorEngine,
    trainer: Callable[[list[Sequence]], Tensor],
    prompts: Iterable[tuple[int, ...]],
    *,
    vocabulary: int,
    sampling: Sampling,
    bound: float,
    longest: int | None = None,
    crossings: Iterable[int] = (),
) -> Canary:
    """A canary for ``engine``, which has the trainer's weights now: that is checked first. ``sampling``: how the run samples.

    ``crossings``: lengths below ``longest`` tokens beyond which the model computes otherwise, as after a window; some tokens across each
    are watched too.
    """
    prompts = list(dict.fromkeys(prompts))
    sequences = canary_sequences(engine, prompts, vocabulary, sampling) + crossing_sequences(
        prompts, crossings, longest
    )
    canary = Canary(engine, trainer, sequences, bound)
    canary.check("at the start")
    return canary


def canary_sequences(
    engine: MirrorEngine, prompts: Iterable[tuple[int, ...]], vocabulary: int, sampling: Sampling
) -> list[Sequence]:
    """What a canary watches: a short response of the engine to each of the first distinct prompts, and after each some tokens by lot.

    The likely tokens of responses move as training moves; the others, out of ``vocabulary``, are unlikely, and at a wrong temperature
    their log-probs are wrong by nats. The same of the same engine and prompts.
    """
    from tokencredit.policy import Sequence

    chosen = list(dict.fromkeys(prompts))[:PROMPTS]
    requests = [Request(prompt, derive_seed("canary", index)) for index, prompt in enumerate(chosen)]
    tokens = min(TOKENS, sampling.max_response_tokens)
    responses = engine.sample(requests, temperature=sampling.temperature, top_p=1.0, max_tokens=tokens)
    likely = [
        Sequence(request.prompt_tokens, response.token_ids)
        for request, response in zip(requests, responses, strict=True)
    ]
    lots = [
        generator("canary", index).choice(vocabulary, UNLIKELY, replace=False).tolist() for index in range(len(chosen))
    ]
    unlikely = [Sequence(prompt, (token,)) for prompt, lot in zip(chosen, lots, strict=True) for token in lot]
    return likely + unlikely


def crossing_sequences(
    prompts: Iterable[tuple[int, ...]], crossings: Iterable[int], longest: int | None = None
) -> list[Sequence]:
    """For each length of ``crossings`` the prompts' tokens, one prompt after the other, to half of ``TOKENS`` beyond it, or ``longest``."""
    from tokencredit.policy import Sequence

    tokens = [token for prompt in prompts for token in prompt]
    found = []
    for length in crossings:
        text = tuple((tokens * (length // len(tokens) + 2))[: length + TOKENS // 2])[:longest]
        start = max(1, len(text) - TOKENS)
        found.append(Sequence(text[:start], text[start:]))
    return found


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
