"""GTPO: a reward for each token from its share of the entropy at its place (arXiv 2508.04349)."""

from __future__ import annotations

from typing import Literal

from tokencredit.credit.parameters import NonNegative
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_sum, segment_zscore
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "gtpo",
    source="arXiv 2508.04349, Eq. 3-6, after two accounts that agree",
    status="reconstruction",
    equation=r"\tilde r^+_{i,t} = a_1 + a_2 d_t \frac{H_{i,t}}{\sum_{k \in O^+_t} H_{k,t}},\quad "
    r"\tilde r^-_{j,t} = -a_1 - a_2 h_t \frac{1/H_{j,t}}{\sum_{k \in O^-_t} 1/H_{k,t}},\quad "
    r"\hat A = \frac{\tilde r - \operatorname{mean} \tilde r}{\operatorname{std} \tilde r}",
    slips="Over which tokens Eq. 6 takes mean and deviation could not be read. `scope: set` (right and wrong tokens apart) lets the "
    "constant cancel: below-average tokens of right responses are pushed down, and a group's only right response gets nothing where its "
    "tokens are alone at their places. `scope: group` takes both together. H is taken as H + 1e-8.",
)
def gtpo(
    signals: TokenSignals, a1: NonNegative = 1.0, a2: NonNegative = 0.1, scope: Literal["set", "group"] = "set"
) -> TokenCredit:
    """Right: a1 + a2 d_t times the share of H at place t among the d_t right responses alive there; wrong: the same with 1 / H
    and the other sign. Then standardised (ddof 0) over each set of the group, or over the group. Groups of equal rewards stay 0.
    """
    if not len(signals.response):
        return TokenCredit(signals.token_advantage, signals.every_token)
    entropy = signals.entropy.double() + 1e-8
    right = signals.right
    polarity_set = 2 * signals.token_group + right.long()
    alive = polarity_set * (signals.position.max() + 1) + signals.position
    share = entropy.where(right, 1 / entropy)
    share = share / segment_sum(share, alive)
    count = segment_sum(alive.new_ones(len(alive)), alive)
    size = a1 + a2 * count * share
    reward = size.where(right, -size)
    advantage = segment_zscore(reward, polarity_set if scope == "set" else signals.token_group) * signals.varied
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)
