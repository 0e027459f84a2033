"""The one interface that everything meets at: what a credit function is given, and what it gives back.

Tokens are flat: one row per response token, one row per response, and an index from the first to the second, so that padding and packing
cannot change anything. This package uses the methods of tensors only and never imports torch, so that the graph can read ``METHODS`` on a
machine without it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

QUADRANTS = ("phr", "plr", "nhr", "nlr")
_PER_RESPONSE = ("reward", "advantage", "group")


@dataclass(frozen=True)
class TokenSignals:
    """The signals of one whole optimiser batch: N response tokens of R responses; nothing carries a gradient.

    Optional columns are None unless a method asks for them.
    """

    response: Tensor  # [N] int64, row of the token's response, non-decreasing
    position: Tensor  # [N] int64, 0-based place of the token in its response
    entropy: Tensor  # [N] float, nats, full vocabulary, old policy
    old_logprob: Tensor  # [N] float, nats, behaviour policy
    reward: Tensor  # [R] float, +1 right, -1 wrong
    advantage: Tensor  # [R] float, the group advantage A_i
    group: Tensor  # [R] int64, index of the response's prompt
    logprob: Tensor | None = None  # [N] float, nats, current policy: the per-update stage only
    ref_logprob: Tensor | None = None  # [N] float, nats, reference policy

    def __post_init__(self) -> None:
        tokens, responses = len(self.response), len(self.reward)
        for column in fields(self):
            value = getattr(self, column.name)
            rows = responses if column.name in _PER_RESPONSE else tokens
            if value is not None and tuple(value.shape) != (rows,):
                raise ValueError(f"TokenSignals.{column.name} has shape {tuple(value.shape)}; it must be ({rows},).")
        if tokens and bool((self.response.diff() < 0).any()):
            raise ValueError("TokenSignals.response must be non-decreasing: tokens of a response stand together.")
        if tokens and not 0 <= int(self.response.min()) <= int(self.response.max()) < responses:
            raise ValueError(f"TokenSignals.response must index the {responses} responses.")

    @cached_property
    def token_advantage(self) -> Tensor:
        """[N]: A_i of each token's response."""
        return self.advantage[self.response]

    @cached_property
    def every_token(self) -> Tensor:
        """[N] bool, all true: what a method keeps that leaves no token out."""
        return self.position >= 0

    @cached_property
    def token_group(self) -> Tensor:
        """[N]: the token's group, counted from 0 without gaps."""
        return self.group.unique(return_inverse=True)[1][self.response]

    def group_mean(self, values: Tensor) -> Tensor:
        """[N] -> [N] float64: the mean of ``values`` over all response tokens of the token's group."""
        return _segment_mean(values, self.token_group)

    def group_zscore(self, values: Tensor) -> Tensor:
        """[N] -> [N]: (values - group mean) / group standard deviation (ddof 0); 0 where all values of a group are equal."""
        deviation = values.double() - self.group_mean(values)
        sigma = self.group_mean(deviation.square()).sqrt()
        flat = sigma <= 1e-12 * (1.0 + self.group_mean(values).abs())
        return (deviation / sigma.masked_fill(flat, 1.0)).masked_fill(flat, 0.0).to(values.dtype)

    def response_mean(self, values: Tensor) -> Tensor:
        """[N] -> [N] float64: the mean of ``values`` over the token's response."""
        return _segment_mean(values, self.response)

    def select(self, responses: Tensor) -> tuple[TokenSignals, Tensor]:
        """The signals of some responses (int64 [R'], increasing) and the rows [N'] of their tokens in this batch."""
        place = self.response.new_full((len(self.reward),), -1)
        place[responses] = responses.new_ones(len(responses)).cumsum(0) - 1
        rows = (place[self.response] >= 0).nonzero().squeeze(1)
        chosen = {}
        for column in fields(self):
            value = getattr(self, column.name)
            if value is not None:
                chosen[column.name] = value[responses if column.name in _PER_RESPONSE else rows]
        chosen["response"] = place[chosen["response"]]
        return TokenSignals(**chosen), rows


@dataclass(frozen=True)
class TokenCredit:
    """What a credit function gives back for each of the N tokens.

    ``advantage`` [N] replaces A_i in the loss; ``keep`` [N] bool: tokens whose term counts; ``denominator``: whether a mean is taken over
    "all" tokens or the "kept" ones; ``clip_low``, ``clip_high``, ``kl_coef``: a number, one per token, or None for the study's own.
    """

    advantage: Tensor
    keep: Tensor
    denominator: Literal["all", "kept"] = "all"
    clip_low: Tensor | float | None = None
    clip_high: Tensor | float | None = None
    kl_coef: Tensor | float | None = None

    def __post_init__(self) -> None:
        if self.denominator not in ("all", "kept"):
            raise ValueError(f"TokenCredit.denominator is {self.denominator!r}; allowed: 'all', 'kept'.")
        if self.advantage.shape != self.keep.shape:
            raise ValueError(
                f"TokenCredit.keep has shape {tuple(self.keep.shape)}; advantage has {tuple(self.advantage.shape)}."
            )

    def select(self, rows: Tensor) -> TokenCredit:
        """The credit of some tokens (int64 [N'])."""
        own = {name: getattr(self, name) for name in ("clip_low", "clip_high", "kl_coef")}
        own = {name: value[rows] if hasattr(value, "shape") and value.shape else value for name, value in own.items()}
        return TokenCredit(self.advantage[rows], self.keep[rows], self.denominator, **own)


def quadrant_of(signals: TokenSignals) -> Tensor:
    """[N] int64: 0 PHR, 1 PLR, 2 NHR, 3 NLR: polarity of the reward x entropy at or above the group mean (arXiv 2604.11056, section 3).

    The threshold is the mean over all response tokens of the prompt's group, not a percentile.
    """
    low = signals.entropy.double() < signals.group_mean(signals.entropy)
    negative = signals.reward[signals.response] <= 0
    return 2 * negative.long() + low.long()


def _segment_mean(values: Tensor, segment: Tensor) -> Tensor:
    """Means per segment, back at the tokens; in float64, so that equal values have exactly their own mean."""
    segments = int(segment.max()) + 1 if len(segment) else 0
    exact = values.double()
    sums = exact.new_zeros(segments).index_add_(0, segment, exact)
    counts = exact.new_zeros(segments).index_add_(0, segment, exact.new_ones(len(exact)))
    return (sums / counts)[segment]
