"""Heterogeneous Adaptive Policy Optimisation (arXiv 2509.16591), as described and as released: the two differ by a sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tokencredit.credit.parameters import Positive, Share
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_quantile, segment_sum, segment_zscore
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "hetero-hapo",
    source="arXiv 2509.16591, parts B, C, D",
    equation=r"\hat A_{i,t} = A_{i,t}\,(1 + h_{i,t}\,\mathbb 1[C]),\quad "
    r"\epsilon_L = \epsilon_L (1 - \min(h_{i,t}, 0)),\ \epsilon_R = \epsilon_R (1 + \max(h_{i,t}, 0)),\quad "
    r"A_{i,t} = \frac{r_i - \mu_{\text{tok}}}{\sigma_{\text{tok}}},"
    r"h = \operatorname{scale}_{[-1,1]}\frac{\log H - Q_\rho(\log H)}{\sigma}",
    stage="update",
    columns=("logprob",),
    slips="In the released code the low side is divided by its (negative) minimum, so h is never negative: the most certain tokens "
    "get the widest clip, and the branches for h <= 0 act at the pivot alone. `as_released` has that, applies D before C, and falls "
    "back to GRPO's advantage where any |A| of a group reaches 5. Part A, a temperature per token while sampling, is not "
    "built. Entropies are taken to be at least 1e-8 nats before the logarithm: one token without entropy sets the scale of the low side.",
)
def hetero_hapo(
    signals: TokenSignals,
    rho: Share = 0.8,
    clip_low: Share = 0.2,
    clip_high: Positive = 0.28,
    variant: Literal["as_described", "as_released"] = "as_described",
) -> TokenCredit:
    """(B) the group's mean and deviation over tokens; (C) A (1 + h) where h > 0 outside the inner trust region, or h <= 0 inside it;
    (D) the lower clip bound widened by 1 - h at h <= 0, the upper one by 1 + h at h > 0.

    h: log-entropy minus its ``rho``-quantile over the batch, each side scaled to [-1, 1]. Inner region: [1 - eps_L / 2, 1 + eps_R / 2].
    """
    released = variant == "as_released"
    h = _heterogeneity(signals, rho, released)
    certain = h <= 0
    low, high = clip_low * (1 - h * certain), clip_high * (1 + h * ~certain)
    zone_low, zone_high = (low, high) if released else (clip_low, clip_high)
    ratio = (signals.logprob - signals.old_logprob).exp().double()
    inside = (ratio >= 1 - zone_low / 2) & (ratio <= 1 + zone_high / 2)
    acts = (~certain & ~inside) | (certain & inside)
    dtype = signals.advantage.dtype
    advantage = _token_level_advantage(signals, released) * (1 + h * acts)
    return TokenCredit(advantage.to(dtype), signals.every_token, clip_low=low.to(dtype), clip_high=high.to(dtype))


def _heterogeneity(signals: TokenSignals, rho: float, released: bool) -> Tensor:
    """[N] float64 in [-1, 1]; never negative as released."""
    log_entropy = signals.entropy.double().clamp(min=1e-8).log()
    h = segment_zscore(log_entropy, signals.batch)  # divides by sigma; the mean goes with the quantile
    h = h - segment_quantile(h, signals.batch, rho)
    largest = h.clamp(min=0).max() if len(h) else h.sum()
    smallest = h.clamp(max=0).min() if len(h) else h.sum()
    above = h.clamp(min=0) / largest.masked_fill(largest == 0, 1.0)
    below = h.clamp(max=0) / smallest.abs().masked_fill(smallest == 0, 1.0)
    return above - below if released else above + below


def _token_level_advantage(signals: TokenSignals, released: bool) -> Tensor:
    """[N] float64: (r - mean) / deviation (ddof 0) over all tokens of the group, so that long responses count more."""
    reward = signals.reward[signals.response].double()
    advantage = segment_zscore(reward, signals.token_group) * signals.varied
    if released:
        extreme = segment_sum((advantage.abs() >= 5).double(), signals.token_group) > 0
        advantage = advantage.where(~extreme, signals.token_advantage.double())
    return advantage
