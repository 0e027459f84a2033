"""Attention entropy: tokens whose attention covers few places (anchors) or many (explorers) get other weights (arXiv 2605.07660)."""

from __future__ import annotations

from tokencredit.credit.parameters import Positive, Share
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_highest
from tokencredit.credit.signals import TokenCredit, TokenSignals

_SOURCE = "arXiv 2605.07660"
_LAYER = "The layer is the middle one (the paper's is 20 of 36, and 8 and 31 did as well)."


@method(
    "attention-anchors",
    source=_SOURCE,
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[E_{i,t} \text{ among the lowest } \rho T_i]\, S_{i,t}}"
    r"{\sum_{i,t} \mathbb 1[E_{i,t} \text{ among the lowest } \rho T_i]}",
    columns=("attention_entropy",),
    masks=True,
    slips=f"The mean over the chosen tokens is a step 1 / rho times that over all; the paper reports both. {_LAYER}",
)
def attention_anchors(signals: TokenSignals, rho: Share = 0.2) -> TokenCredit:
    """The ``rho`` T_i tokens of each response with the lowest attention entropy; the mean is over these."""
    keep = segment_highest(-signals.attention_entropy, signals.response, rho)
    return TokenCredit(signals.token_advantage, keep, denominator="kept")


@method(
    "attention-explorers",
    source=_SOURCE,
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[E_{i,t} \text{ among the highest } \rho T_i]\, S_{i,t}}"
    r"{\sum_{i,t} \mathbb 1[E_{i,t} \text{ among the highest } \rho T_i]}",
    columns=("attention_entropy",),
    masks=True,
    slips=f"As of `attention-anchors`; five of the paper's eight seeds collapse. {_LAYER}",
)
def attention_explorers(signals: TokenSignals, rho: Share = 0.2) -> TokenCredit:
    """The ``rho`` T_i tokens of each response with the highest attention entropy; the mean is over these."""
    keep = segment_highest(signals.attention_entropy, signals.response, rho)
    return TokenCredit(signals.token_advantage, keep, denominator="kept")


@method(
    "attention-entropy",
    source=f"{_SOURCE}, Eq. 26-30",
    equation=r"\hat A_{i,t} = A_i\,\big[(1 - \bar\alpha_{i,t})(1 - a) + \bar\alpha_{i,t}\, a\big],\quad \bar\alpha = "
    r"\frac{e^{E/\tau} - \min e^{E/\tau}}{\max e^{E/\tau} - \min e^{E/\tau}},\quad a = \min\big(1,\ s / s_{\text{warm}}\big)",
    columns=("attention_entropy", "progress"),
    slips="The weights' mean is not one and moves with the step, from 1 - mean(alpha) to mean(alpha): the rule is also a schedule of the "
    "learning rate, which its control `norm-matched` keeps. The paper warms up over 80 of about 150 steps; here it is a share of the run. "
    f"Minimum and maximum are the batch's; where all are equal alpha is 1/2. {_LAYER}",
)
def attention_entropy(signals: TokenSignals, tau: Positive = 0.8, warm: Share = 0.53) -> TokenCredit:
    """Soft weights, which favour anchors at the start of training and explorers once the share ``warm`` of it lies behind."""
    heat = (signals.attention_entropy.double() / tau).exp()
    low, high = heat.min(), heat.max()
    alpha = (heat - low) / (high - low) if bool(high > low) else heat * 0 + 0.5
    late = min(1.0, signals.progress / warm)
    weight = (1 - alpha) * (1 - late) + alpha * late
    return TokenCredit((signals.token_advantage * weight).to(signals.advantage.dtype), signals.every_token)
