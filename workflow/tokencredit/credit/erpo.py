"""ERPO: entropy-gated, bucket-normalised implicit rewards, anchored to the outcome (arXiv 2603.28204)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.parameters import Count, NonNegative
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_zscore
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "erpo",
    source="arXiv 2603.28204",
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i + \eta\, z_G\big(W_{i,t}\operatorname{sign}(A_i)\,\tilde s_{i,t}\big),\quad "
    r"W = \sigma\!\Big(\gamma\tfrac{H-\mu_G}{\sigma_G}\Big),\quad "
    r"\tilde s = z_{G,\lfloor K t / T_i \rfloor}\big(\beta(\log\pi - \log\pi_{\text{ref}})\big)",
    columns=("ref_logprob",),
    slips="Rebuilt from partial sources. beta cancels: both z-scores divide it out. log pi is the old policy's, so that at the first step "
    "s = 0 and ERPO is GRPO. Another ERPO is arXiv 2608.23311.",
)
def erpo(
    signals: TokenSignals,
    gamma: NonNegative = 5.0,
    eta: NonNegative = 0.2,
    beta: NonNegative = 0.1,
    buckets: Count = 10,
    gate: bool = True,
    normalise: bool = True,
    anchor: bool = True,
) -> TokenCredit:
    """A + eta z_G(W sign(A) s~): W gates by entropy, s~ is the implicit reward beta log(pi / pi_ref) as a z-score among the tokens of the
    group that are equally far in their response (``buckets`` of progress), sign(A) anchors it to the outcome.

    ``gate``, ``normalise`` and ``anchor`` switch the three parts off: W = 1, s~ = s, and sign(A) = 1. Groups without advantage stay 0.
    """
    advantage = signals.token_advantage
    s = beta * (signals.old_logprob - signals.ref_logprob).double()
    if normalise:
        bucket = (buckets * signals.position // signals.length.long()).clamp(max=buckets - 1)
        s = segment_zscore(s, signals.token_group * buckets + bucket)
    psi = s
    if gate:
        psi = psi * _gate(signals, gamma)
    if anchor:
        psi = psi * advantage.double().sign()
    shaped = advantage.double() + eta * signals.group_zscore(psi) * signals.varied
    return TokenCredit(shaped.to(advantage.dtype), signals.every_token)


def critical_decision_pivots(signals: TokenSignals, gamma: float = 5.0, margin: float = 0.1) -> Tensor:
    """[N] bool: tokens whose gate W lies above 1/2 by more than ``margin``, the critical decision pivots of arXiv 2603.28204."""
    return _gate(signals, gamma) > 0.5 + margin


def _gate(signals: TokenSignals, gamma: float) -> Tensor:
    """[N] float64: W = sigmoid(gamma z), z the entropy's z-score over the group."""
    return (gamma * signals.group_zscore(signals.entropy.double())).sigmoid()
