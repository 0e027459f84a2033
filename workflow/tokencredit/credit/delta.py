"""DelTA: tokens count whose gradient is like those of their own side, right or wrong, and unlike the other side's (arXiv 2605.21467)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tokencredit.credit.parameters import CountFromZero, NonNegative, Positive
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_rows, segment_sum
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

Scope = Literal["group", "batch"]

# Below these a mass or a variance counts as this much: the paper's "small numerical constants", which it does not print.
_LEAST = 1e-12


@method(
    "delta",
    source="arXiv 2605.21467, Eq. 6-8, App. F and H",
    equation=r"\hat A_{i,t} = A_i\,\lambda_{i,t} \frac{N_q}{\sum_{k} \lambda_k},\quad \lambda = \lambda_- + (\lambda_+ - \lambda_-)\,"
    r"\sigma\big((\lVert v - \mu_{\text{other}} \rVert^2 - \lVert v - \mu_{\text{own}} \rVert^2) / \gamma_{\text{own}}\big),\quad "
    r"v_{i,t} = (1 - \pi(o_{i,t}))\, h_{i,t}",
    columns=("hidden",),
    slips="v is the gradient of the head's row for the token, the paper's proxy for that of all weights; its other one, of the state, did "
    "better in the paper's own ablation. The equations sum over the responses of one prompt, the text speaks of a rollout batch: `scope`. "
    "The temperature of the last pass is that of the one before it, as published. Small constants are not printed: 1e-12. The paper chose "
    "its checkpoint on one of the benchmarks, and leaves dynamic sampling out.",
)
def delta(
    signals: TokenSignals,
    low: NonNegative = 0.8,
    high: Positive = 1.2,
    refinements: CountFromZero = 1,
    scope: Scope = "group",
) -> TokenCredit:
    """A_i times a weight from ``low`` to ``high``, the larger the more the token is its own side's; of mean one.

    The sides of a prompt's tokens, or of the batch's, are those of right and of wrong responses, and mu a side's mean of v: weighted by
    \\|A\\| at first, and ``refinements`` times anew by \\|A\\| times the sigmoid. gamma is the deviation of a side's differences. Tokens
    without an advantage have the weight ``low``.
    """
    segment = _segment(signals, scope)
    score = signals.token_advantage.double() * 0
    for rows in segment_rows(segment):
        missed = -signals.old_logprob[rows].double().expm1()
        gradient = signals.hidden[rows].double() * missed[:, None]
        score[rows] = _own_side(gradient, signals.token_advantage[rows].double(), refinements)
    return _weighted(signals, low + (high - low) * score, low, segment)


@method(
    "delta-random",
    source="arXiv 2605.21467, App. F, Table 4",
    equation=r"\hat A_{i,t} = A_i\,\lambda_{i,t} \frac{N_q}{\sum_{k} \lambda_k},\quad \lambda_{i,t} \sim "
    r"\mathcal U(\lambda_-, \lambda_+)",
    columns=("noise",),
    slips="The published control of `delta`. On the four benchmarks that the paper tries it on, DelTA has 23.27 and this 18.34; DAPO has "
    "19.06 there, by the paper's Table 1: random weights cost it little, as weights that differ by a fifth and know nothing should.",
)
def delta_random(
    signals: TokenSignals, low: NonNegative = 0.8, high: Positive = 1.2, scope: Scope = "group"
) -> TokenCredit:
    """DelTA's weights drawn at random from the same range."""
    return _weighted(signals, low + (high - low) * signals.noise.double(), low, _segment(signals, scope))


def _segment(signals: TokenSignals, scope: Scope) -> Tensor:
    return signals.token_group if scope == "group" else signals.batch


def _own_side(v: Tensor, advantage: Tensor, refinements: int) -> Tensor:
    """[n] in (0, 1) for the gradients v [n, H] of tokens: how much more each is like its own side than like the other."""
    own, mass = advantage.sign(), advantage.abs()
    sides = [own == sign for sign in (1, -1) if bool((own == sign).any())]
    score, before = mass * 0 + 1, None
    for _ in range(refinements + 1):
        right, wrong = (_centroid(v, mass * score * (own == sign)) for sign in (1, -1))
        # |v - wrong|^2 - |v - right|^2, whose |v|^2 would cancel.
        margin = own * (2 * v @ (right - wrong) + wrong.square().sum() - right.square().sum())
        spread = margin * 0 + 1
        for side in sides:
            spread[side] = margin[side].var(correction=0).clamp(min=_LEAST).sqrt()
        score = (margin / (spread if before is None else before)).sigmoid()
        before = spread
    return score


def _centroid(v: Tensor, weight: Tensor) -> Tensor:
    """[H]: the mean of v [n, H] under weights [n]."""
    return weight @ v / weight.sum().clamp(min=_LEAST)


def _weighted(signals: TokenSignals, weight: Tensor, low: float, segment: Tensor) -> TokenCredit:
    """A_i times ``weight``, brought to a mean of one over each segment; of tokens without an advantage the weight is ``low``."""
    advantage = signals.token_advantage
    weight = weight.masked_fill(advantage == 0, low)
    mean = segment_sum(weight, segment) / segment_sum(weight * 0 + 1, segment)
    mean = mean.masked_fill(mean == 0, 1.0)
    return TokenCredit((advantage * (weight / mean)).to(advantage.dtype), signals.every_token)
