"""Clip-Cov and KL-Cov: the few tokens whose log-prob and advantage co-vary most drive the entropy down (arXiv 2505.22617)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.parameters import NonNegative, Positive, Share
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

_SOURCE = "arXiv 2505.22617"
_COVARIANCE = r"c_{i,t} = (\log\pi_{i,t} - \overline{\log\pi})(A_i - \bar A)"


@method(
    "clip-cov",
    source=_SOURCE,
    equation=rf"\hat A_{{i,t}} = A_i\,\mathbb 1[(i,t) \notin I],\ I \subset \{{\omega_- < c_{{i,t}} < \omega_+\}}\ \text{{random}},\ "
    rf"|I| = \lfloor rN \rfloor,\ {_COVARIANCE}",
    stage="update",
    columns=("logprob", "noise"),
    masks=True,
    slips="The code excludes tokens that PPO has clipped already and takes at least one; so does this. Its means are the micro-batch's, "
    "here the optimiser batch's.",
)
def clip_cov(
    signals: TokenSignals,
    r: Share = 2e-4,
    low: float = 1.0,
    high: float = 5.0,
    clip_low: Share = 0.2,
    clip_high: Positive = 0.2,
) -> TokenCredit:
    """Leave out max(1, floor(r N)) random tokens among the not-clipped ones with ``low`` < cov < ``high``; all stay in the mean.

    Random: those of the smallest ``noise``. The clip bounds belong to the method, because it must know them.
    """
    advantage, covariance = signals.token_advantage, _covariance(signals)
    ratio = (signals.logprob - signals.old_logprob).exp()
    clipped = ((ratio < 1 - clip_low) & (advantage < 0)) | ((ratio > 1 + clip_high) & (advantage > 0))
    eligible = (covariance > low) & (covariance < high) & ~clipped
    count = _count(r, len(advantage))
    drawn = signals.noise.double().masked_fill(~eligible, 2.0).argsort(stable=True)[:count]
    keep = signals.every_token.clone()
    keep[drawn] = ~eligible[drawn]
    return TokenCredit(advantage, keep, clip_low=clip_low, clip_high=clip_high)


@method(
    "kl-cov",
    plain=True,
    source=_SOURCE,
    equation=rf"L = \tfrac1N\sum_{{i,t}} -\rho_{{i,t}} A_i + "
    rf"\beta\,\mathbb 1[(i,t) \in \operatorname{{top}}_k c]\,|\log\rho_{{i,t}}|,\ {_COVARIANCE}",
    stage="update",
    columns=("logprob",),
    slips="arXiv 2604.11056 describes another method under this name; this is the published one. All tokens are unclipped. Trainers differ "
    "in units: the authors' k_percent 0.2 is 0.2 %, and one has beta 0.1 as its default where the paper has 1.",
)
def kl_cov(signals: TokenSignals, k: Share = 2e-3, beta: NonNegative = 1.0) -> TokenCredit:
    """Every token gets the unclipped -A rho; the max(1, floor(k N)) of highest covariance also beta |log pi - log pi_old|.

    They are chosen among the groups that have an advantage, so that the others stay without a gradient."""
    covariance = _covariance(signals).masked_fill(~signals.varied, -float("inf"))
    chosen = covariance.argsort(descending=True, stable=True)[: _count(k, len(covariance))]
    penalty = covariance.new_zeros(len(covariance))
    penalty[chosen] = beta * signals.varied[chosen].to(penalty.dtype)
    advantage = signals.token_advantage
    return TokenCredit(advantage, signals.every_token, surrogate="unclipped", old_kl_coef=penalty.to(advantage.dtype))


def _count(share: float, tokens: int) -> int:
    # A product such as 0.35 * 180 may lie a rounding error below the whole number that is meant.
    return max(1, int(share * tokens + 1e-9))


def _covariance(signals: TokenSignals) -> Tensor:
    """[N] float64: (log pi - mean)(A - mean), means over all response tokens of the batch."""
    logprob, advantage = signals.logprob.double(), signals.token_advantage.double()
    return (logprob - logprob.mean()) * (advantage - advantage.mean())
