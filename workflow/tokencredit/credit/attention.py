"""Attention entropy: tokens that look at few places (anchors) and at many (explorers) learn differently (arXiv 2605.07660)."""

from __future__ import annotations

from tokencredit.credit.parameters import NonNegative, Share
from tokencredit.credit.registry import method
from tokencredit.credit.segments import highest, segment_mean, segment_zscore
from tokencredit.credit.signals import TokenCredit, TokenSignals

_SOURCE = "arXiv 2605.07660"
_UNSEEN = "The weight function, its schedule, the layer and the set-up could not be read; mask and weight are reconstructions."


@method(
    "attention-anchors",
    source=_SOURCE,
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\mathbb 1[E_{i,t} \text{ among the lowest } \rho N]",
    columns=("attention_entropy",),
    masks=True,
    slips=_UNSEEN,
)
def attention_anchors(signals: TokenSignals, rho: Share = 0.2) -> TokenCredit:
    """The ``rho`` N tokens of the batch with the lowest attention entropy; the mean is over these."""
    return TokenCredit(signals.token_advantage, highest(-signals.attention_entropy, rho), denominator="kept")


@method(
    "attention-explorers",
    source=_SOURCE,
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\mathbb 1[E_{i,t} \text{ among the highest } \rho N]",
    columns=("attention_entropy",),
    masks=True,
    slips=_UNSEEN,
)
def attention_explorers(signals: TokenSignals, rho: Share = 0.2) -> TokenCredit:
    """The ``rho`` N tokens of the batch with the highest attention entropy; the mean is over these."""
    return TokenCredit(signals.token_advantage, highest(signals.attention_entropy, rho), denominator="kept")


@method(
    "attention-entropy",
    source=_SOURCE,
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\frac{w_{i,t}}{\bar w},\quad w_{i,t} = \max\big(0,\ 1 + \lambda(s)\, z(E_{i,t})\big),\quad "
    r"\lambda(s) = (2s - 1)\,\lambda",
    columns=("attention_entropy", "progress"),
    slips=_UNSEEN,
)
def attention_entropy(signals: TokenSignals, strength: NonNegative = 0.3) -> TokenCredit:
    """Soft weights of mean one over the batch, which favour anchors at the start of training and explorers at its end."""
    z = segment_zscore(signals.attention_entropy.double(), signals.batch)
    weight = (1 + strength * (2 * signals.progress - 1) * z).clamp(min=0)
    advantage = signals.token_advantage * (weight / segment_mean(weight, signals.batch))
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)
