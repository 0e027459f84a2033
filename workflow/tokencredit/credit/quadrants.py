"""The Four Quadrant Decomposition: one quadrant's tokens alone (arXiv 2604.11056, section 3)."""

from __future__ import annotations

from tokencredit.credit.registry import method
from tokencredit.credit.signals import QUADRANTS, TokenCredit, TokenSignals, quadrant_of

_SOURCE = "arXiv 2604.11056, section 3"


@method("phr", source=_SOURCE)
def phr(signals: TokenSignals) -> TokenCredit:
    """Positive polarity, high entropy: r > 0, H >= mu_H."""
    return _only("phr", signals)


@method("plr", source=_SOURCE)
def plr(signals: TokenSignals) -> TokenCredit:
    """Positive polarity, low entropy: r > 0, H < mu_H."""
    return _only("plr", signals)


@method("nhr", source=_SOURCE)
def nhr(signals: TokenSignals) -> TokenCredit:
    """Negative polarity, high entropy: r < 0, H >= mu_H."""
    return _only("nhr", signals)


@method("nlr", source=_SOURCE)
def nlr(signals: TokenSignals) -> TokenCredit:
    """Negative polarity, low entropy: r < 0, H < mu_H."""
    return _only("nlr", signals)


def _only(quadrant: str, signals: TokenSignals) -> TokenCredit:
    """The denominator stays all tokens, so that the four quadrant losses add up to GRPO's."""
    keep = quadrant_of(signals) == QUADRANTS.index(quadrant)
    return TokenCredit(signals.token_advantage, keep, denominator="all")
