"""Implicit rewards of tokens, gated by entropy and compared in buckets: ERPO (arXiv 2603.28204) and EP-GRPO (arXiv 2605.04960)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.parameters import Count, NonNegative
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_mean, segment_sum, segment_zscore
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

_OLD_POLICY = "log pi is the old policy's, so that at the first step s = 0."


@method(
    "erpo",
    source="arXiv 2603.28204, Eq. 7-10, Algorithm 1",
    equation=r"\hat A_{i,t} = z_G\big(A_i + \eta\,\Psi_{i,t}\big),\quad \Psi = \sigma_{\text{target}}\,"
    r"\frac{\psi}{\operatorname{std}_G \psi},\quad \psi_{i,t} = W_{i,t}\operatorname{sign}(A_i)\,\tilde s_{i,t},\quad "
    r"W = \sigma\!\Big(\gamma\tfrac{H-\mu_G}{\sigma_G}\Big),\quad "
    r"\tilde s = z_{G,\lfloor K t / T_i \rfloor}\big(\beta(\log\pi - \log\pi_{\text{ref}})\big)",
    columns=("ref_logprob",),
    slips="K and sigma_target are not printed: 10, as in EP-GRPO, and 1. beta cancels, for both divisions take it out. The last z-score is "
    "over tokens: a group's credits add up to 0, and where lengths are unequal a right response's are no longer centred at A_i. "
    f"{_OLD_POLICY} Another ERPO is arXiv 2608.23311.",
)
def erpo(
    signals: TokenSignals,
    gamma: NonNegative = 5.0,
    eta: NonNegative = 0.2,
    beta: NonNegative = 0.1,
    target: NonNegative = 1.0,
    buckets: Count = 10,
    gate: bool = True,
    normalise: bool = True,
    anchor: bool = True,
) -> TokenCredit:
    """z_G(A + eta Psi), Psi = W sign(A) s~ scaled to the deviation ``target``: W gates by entropy, s~ is the implicit reward
    beta log(pi / pi_ref) as a z-score among the tokens of the group that are equally far in their response (``buckets`` of progress), and
    sign(A) anchors it to the outcome.

    ``gate``, ``normalise`` and ``anchor`` switch the three parts off: W = 1, s~ = s, and sign(A) = 1. Groups without advantage stay 0.
    """
    advantage = signals.token_advantage.double()
    psi = beta * (signals.old_logprob - signals.ref_logprob).double()
    if normalise:
        bucket = (buckets * signals.position // signals.length.long()).clamp(max=buckets - 1)
        psi = _bucket_zscore(signals, psi, bucket, buckets)
    if gate:
        psi = psi * _gate(signals, gamma)
    if anchor:
        psi = psi * advantage.sign()
    # A z-score less its mean is the scaling alone.
    deviation = segment_mean((psi - signals.group_mean(psi)).square(), signals.token_group).sqrt()
    level = deviation <= 1e-12 * (1.0 + psi.abs())
    psi = (target * psi / deviation.masked_fill(level, 1.0)).masked_fill(level, 0.0)
    shaped = signals.group_zscore(advantage + eta * psi) * signals.varied
    return TokenCredit(shaped.to(signals.advantage.dtype), signals.every_token)


@method(
    "ep-grpo",
    source="arXiv 2605.04960",
    equation=r"\hat A_{i,t} = W_{i,t} A_i + \eta\, z_{G,k(i,t)}\big(d_i\,\lambda(\log\pi - \log\pi_{\text{ref}})\big),\quad "
    r"d_i = \operatorname{sign}(A_i) \text{ or, in a group of equal rewards, } \operatorname{sign}(r_i),\quad "
    r"k(i,t) = \Big\lfloor K \frac{\sum_{u \le t} H_{i,u}}{\sum_u H_{i,u}} \Big\rfloor",
    columns=("ref_logprob",),
    slips="W is a sigmoid with a mean of about 1/2 and is not renormalised: the part of the outcome is halved against GRPO. lambda cancels "
    f"in the z-score. Groups of equal rewards teach unless `every_group` is false. {_OLD_POLICY}",
)
def ep_grpo(
    signals: TokenSignals,
    gamma: NonNegative = 5.0,
    eta: NonNegative = 0.2,
    lam: NonNegative = 0.1,
    buckets: Count = 10,
    every_group: bool = False,
) -> TokenCredit:
    """W A + eta z(d s): W gates the outcome by entropy; s = lam log(pi / pi_ref), turned by the outcome d, as a z-score among the tokens of
    the group at which an equal share of their response's entropy lies behind (``buckets`` of it).
    """
    advantage, entropy = signals.token_advantage.double(), signals.entropy.double()
    behind = _running(signals, entropy) / segment_sum(entropy, signals.response).clamp(min=1e-300)
    bucket = (buckets * behind + 1e-9).long().clamp(max=buckets - 1)
    direction = advantage.sign().where(signals.varied, 2.0 * signals.right.double() - 1.0)
    s = lam * (signals.old_logprob - signals.ref_logprob).double() * direction
    shaped = _gate(signals, gamma) * advantage + eta * _bucket_zscore(signals, s, bucket, buckets)
    if not every_group:
        shaped = shaped * signals.varied
    return TokenCredit(shaped.to(signals.advantage.dtype), signals.every_token)


def critical_decision_pivots(signals: TokenSignals, gamma: float = 5.0, margin: float = 0.1) -> Tensor:
    """[N] bool: tokens whose gate W lies above 1/2 by more than ``margin``, the critical decision pivots of arXiv 2603.28204."""
    return _gate(signals, gamma) > 0.5 + margin


def _gate(signals: TokenSignals, gamma: float) -> Tensor:
    """[N] float64: W = sigmoid(gamma z), z the entropy's z-score over the group."""
    return (gamma * signals.group_zscore(signals.entropy.double())).sigmoid()


def _bucket_zscore(signals: TokenSignals, values: Tensor, bucket: Tensor, buckets: int) -> Tensor:
    """[N]: the z-score of ``values`` among the tokens of the group in the same of ``buckets`` buckets."""
    return segment_zscore(values, signals.token_group * buckets + bucket)


def _running(signals: TokenSignals, values: Tensor) -> Tensor:
    """[N]: the sum of ``values`` over the token and those before it in its response."""
    # Each response in a row of its own: in one sum over the batch a response of tiny values would be lost beside the others.
    rows = values.new_zeros(len(signals.reward), int(signals.position.max()) + 1 if len(values) else 1)
    rows[signals.response, signals.position] = values
    return rows.cumsum(1)[signals.response, signals.position]
