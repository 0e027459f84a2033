"""The interface of credit functions: the input ``TokenSignals`` and the output ``TokenCredit``.

Tokens are flat: one row per response token, one row per response, and an index from the first to the second, so that padding and packing
cannot change anything. This package uses the methods of tensors only and never imports torch, so that the graph can read ``METHODS`` on a
machine without it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from tokencredit.credit.segments import segment_mean, segment_sum, segment_zscore

if TYPE_CHECKING:
    from torch import Tensor

PER_RESPONSE = ("reward", "advantage", "group", "correct")
PER_BATCH = ("progress", "entropy_history")
VECTORS = ("hidden",)  # several numbers per token
# Of tokens, as the tasks of ``data/tasks`` call them.
KINDS = ("style fork", "strategy fork", "branch", "result", "answer", "copied number", "routine")
RATIOS = ("token", "response", "response-token")
SURROGATES = ("clip", "unclipped", "cispo", "reinforce")


@dataclass(frozen=True)
class TokenSignals:
    """The signals of one whole optimiser batch: N response tokens of R responses; nothing carries a gradient.

    A method of the rollout stage sees the old policy. At the update stage ``logprob`` is there and ``entropy`` is the current policy's too.
    Optional columns are None unless a method declares them: the trainer fills each once. A random choice is made by the column ``noise``,
    so that it belongs to the token wherever its row stands.
    """

    response: Tensor  # [N] int64, row of the token's response, non-decreasing
    position: Tensor  # [N] int64, 0-based place of the token in its response
    entropy: Tensor  # [N] float, nats, full vocabulary, the policy of the stage
    old_logprob: Tensor  # [N] float, nats, behaviour policy, as the trainer computes it
    reward: Tensor  # [R] float, +1 right, -1 wrong, a penalty for length added where the base has one
    advantage: Tensor  # [R] float, the group advantage A_i
    group: Tensor  # [R] int64, index of the response's prompt
    correct: Tensor | None = (
        None  # [R] bool, the grader's verdict; where it is not given, whether the reward is above 0
    )
    logprob: Tensor | None = None  # [N] float, nats, current policy: the update stage only
    ref_logprob: Tensor | None = None  # [N] float, nats, reference policy
    rollout_logprob: Tensor | None = None  # [N] float, nats, behaviour policy, as the sampler computed it
    teacher_logprob: Tensor | None = None  # [N] float, nats, another model
    privileged_logprob: Tensor | None = None  # [N] float, nats, old policy under a prompt that holds the answer
    privileged_entropy: Tensor | None = None  # [N] float, nats, entropy of the old policy under that prompt
    contrast_logprob: Tensor | None = (
        None  # [N] float, nats, old policy under another problem's prompt with that answer
    )
    residual_norm: Tensor | None = (
        None  # [N] float, ||h(adapter on) - h(adapter off)||_2 of the state that predicts the token
    )
    attention_entropy: Tensor | None = None  # [N] float in [0, 1], entropy of attention / log(context length)
    hidden: Tensor | None = None  # [N, H] float, the last state, after the final norm, that predicts the token
    uniqueness: Tensor | None = (
        None  # [N] float, nats, JS of the token's distribution and its group's mean at the same position
    )
    value: Tensor | None = None  # [N] float in [0, 1], share of right continuations of the state before the token
    information: Tensor | None = None  # [N] float, nats, measured I(o; r | s) of that state; noise may take it below 0
    state: Tensor | None = (
        None  # [N] int64, number of that state: the same for equal beginnings of a problem's responses
    )
    response_step: Tensor | None = None  # [N] int64, 0-based place of the token's step in its response
    kind: Tensor | None = None  # [N] int64, place in ``KINDS``; embedded tasks only
    begun: Tensor | None = None  # [N] int64, how many first tokens of the response are a failed one's
    noise: Tensor | None = None  # [N] float in [0, 1), the token's own random number, for methods
    control_noise: Tensor | None = None  # [N] float in [0, 1), another one, for the controls around them
    progress: float | None = None  # share of the run's steps that lie behind, in [0, 1)
    entropy_history: Tensor | None = None  # [S] float, nats, mean token entropy of every earlier step

    def __post_init__(self) -> None:
        tokens, responses = len(self.response), len(self.reward)
        for column in fields(self):
            value = getattr(self, column.name)
            rows = responses if column.name in PER_RESPONSE else tokens
            if value is None or column.name in PER_BATCH:
                continue
            vector = column.name in VECTORS
            if value.ndim != 1 + vector or len(value) != rows:
                shape = f"({rows}, H)" if vector else f"({rows},)"
                raise ValueError(f"TokenSignals.{column.name} has shape {tuple(value.shape)}; it must be {shape}.")
        if tokens and bool((self.response.diff() < 0).any()):
            raise ValueError("TokenSignals.response must be non-decreasing: tokens of a response stand together.")
        if tokens and not 0 <= int(self.response.min()) <= int(self.response.max()) < responses:
            raise ValueError(f"TokenSignals.response must index the {responses} responses.")

    @cached_property
    def token_advantage(self) -> Tensor:
        """[N]: A_i of each token's response."""
        return self.advantage[self.response]

    @cached_property
    def right(self) -> Tensor:
        """[N] bool: the token's response has positive polarity: it is right, whatever a penalty leaves of its reward."""
        return (self.reward > 0 if self.correct is None else self.correct)[self.response]

    @cached_property
    def every_token(self) -> Tensor:
        """[N] bool, all true: what a method keeps that leaves no token out."""
        return self.position >= 0

    @cached_property
    def batch(self) -> Tensor:
        """[N] int64, all 0: the whole optimiser batch as one segment."""
        return self.position * 0

    @cached_property
    def response_group(self) -> Tensor:
        """[R]: the response's group, counted from 0 without gaps."""
        return self.group.unique(return_inverse=True)[1]

    @cached_property
    def token_group(self) -> Tensor:
        """[N]: the token's group, counted from 0 without gaps."""
        return self.response_group[self.response]

    @cached_property
    def varied(self) -> Tensor:
        """[N] bool: the token's group has an advantage other than 0, so it has something to teach."""
        return (segment_sum(self.advantage.abs(), self.response_group) > 0)[self.response]

    @cached_property
    def length(self) -> Tensor:
        """[N] float64: the number of tokens of the token's response, T_i."""
        return segment_sum(self.response.new_ones(len(self.response)), self.response)

    def group_mean(self, values: Tensor) -> Tensor:
        """[N] -> [N] float64: the mean of ``values`` over all response tokens of the token's group."""
        return segment_mean(values, self.token_group)

    def group_zscore(self, values: Tensor) -> Tensor:
        """[N] -> [N]: (values - group mean) / group standard deviation (ddof 0); 0 where all values of a group are equal."""
        return segment_zscore(values, self.token_group)

    def response_mean(self, values: Tensor) -> Tensor:
        """[N] -> [N] float64: the mean of ``values`` over the token's response."""
        return segment_mean(values, self.response)

    def select(self, responses: Tensor) -> tuple[TokenSignals, Tensor]:
        """The signals of some responses (int64 [R'], increasing) and the rows [N'] of their tokens in this batch."""
        place = self.response.new_full((len(self.reward),), -1)
        place[responses] = responses.new_ones(len(responses)).cumsum(0) - 1
        rows = (place[self.response] >= 0).nonzero().squeeze(1)
        chosen = {}
        for column in fields(self):
            value = getattr(self, column.name)
            if value is not None and column.name not in PER_BATCH:
                value = value[responses if column.name in PER_RESPONSE else rows]
            chosen[column.name] = value
        chosen["response"] = place[chosen["response"]]
        return TokenSignals(**chosen), rows


@dataclass(frozen=True)
class TokenCredit:
    """What a credit function gives back for each of the N tokens, and the form of the loss that it belongs in.

    ``advantage`` [N] replaces A_i in the loss; ``keep`` [N] bool: tokens whose term counts; ``denominator``: whether a mean is taken over
    "all" tokens or the "kept" ones; ``clip_low``, ``clip_high``, ``kl_coef``: a number, one per token, or None for the study's own.

    ``ratio``: "token" rho_t; "response": one ratio for the response, the power mean of order ``ratio_power`` of its rho_t (0 is the
    geometric mean); "response-token": the value of that ratio with the gradient of log pi_t. ``surrogate``: "clip"
    min(rho A, clip(rho) A); "unclipped" rho A; "cispo" sg[clip(rho)] A log pi; "reinforce" A log pi.
    ``old_kl_coef``: coefficient of \\|log pi - log pi_old\\|; ``entropy_coef``: coefficient of the entropy bonus; numbers or [N].
    """

    advantage: Tensor
    keep: Tensor
    denominator: Literal["all", "kept"] = "all"
    clip_low: Tensor | float | None = None
    clip_high: Tensor | float | None = None
    kl_coef: Tensor | float | None = None
    ratio: Literal["token", "response", "response-token"] = "token"
    ratio_power: float = 0.0
    surrogate: Literal["clip", "unclipped", "cispo", "reinforce"] = "clip"
    old_kl_coef: Tensor | float = 0.0
    entropy_coef: Tensor | float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (("denominator", ("all", "kept")), ("ratio", RATIOS), ("surrogate", SURROGATES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"TokenCredit.{name} is {getattr(self, name)!r}; allowed: {', '.join(choices)}.")
        for name, value in self.per_token.items():
            if value.shape != self.advantage.shape:
                raise ValueError(
                    f"TokenCredit.{name} has shape {tuple(value.shape)}; advantage has {tuple(self.advantage.shape)}."
                )

    @property
    def per_token(self) -> dict[str, Tensor]:
        """The fields that hold one value per token."""
        values = {column.name: getattr(self, column.name) for column in fields(self)}
        return {name: value for name, value in values.items() if hasattr(value, "shape") and value.shape}

    def select(self, rows: Tensor) -> TokenCredit:
        """The credit of some tokens (int64 [N'])."""
        values = {column.name: getattr(self, column.name) for column in fields(self)}
        return TokenCredit(**values | {name: value[rows] for name, value in self.per_token.items()})
