"""Training on one quadrant of polarity and entropy alone (arXiv 2604.11056, Four Quadrant Decomposition)."""

from __future__ import annotations

from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.credit.thresholds import QUADRANTS, Threshold, quadrant_of

_SOURCE = "arXiv 2604.11056, Four Quadrant Decomposition"


@method("phr", source=_SOURCE, equation=r"\hat A_{i,t} = A_i\,\mathbb 1[r_i > 0,\ H_{i,t} \ge \mu_H]", masks=True)
def phr(signals: TokenSignals, threshold: Threshold = "group-mean") -> TokenCredit:
    """Positive polarity, high entropy: r > 0, H >= mu_H."""
    return _only("phr", signals, threshold)


@method("plr", source=_SOURCE, equation=r"\hat A_{i,t} = A_i\,\mathbb 1[r_i > 0,\ H_{i,t} < \mu_H]", masks=True)
def plr(signals: TokenSignals, threshold: Threshold = "group-mean") -> TokenCredit:
    """Positive polarity, low entropy: r > 0, H < mu_H."""
    return _only("plr", signals, threshold)


@method("nhr", source=_SOURCE, equation=r"\hat A_{i,t} = A_i\,\mathbb 1[r_i < 0,\ H_{i,t} \ge \mu_H]", masks=True)
def nhr(signals: TokenSignals, threshold: Threshold = "group-mean") -> TokenCredit:
    """Negative polarity, high entropy: r < 0, H >= mu_H."""
    return _only("nhr", signals, threshold)


@method("nlr", source=_SOURCE, equation=r"\hat A_{i,t} = A_i\,\mathbb 1[r_i < 0,\ H_{i,t} < \mu_H]", masks=True)
def nlr(signals: TokenSignals, threshold: Threshold = "group-mean") -> TokenCredit:
    """Negative polarity, low entropy: r < 0, H < mu_H."""
    return _only("nlr", signals, threshold)


def _only(quadrant: str, signals: TokenSignals, threshold: Threshold) -> TokenCredit:
    """The denominator stays all tokens, so that the four quadrant losses add up to GRPO's."""
    keep = quadrant_of(signals, threshold) == QUADRANTS.index(quadrant)
    return TokenCredit(signals.token_advantage, keep, denominator="all")
