"""Uniform credit: every token of a response carries the group advantage."""

from __future__ import annotations

from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method("grpo", source="arXiv 2402.03300")
def grpo(signals: TokenSignals) -> TokenCredit:
    """A_it = A_i."""
    return TokenCredit(signals.token_advantage, keep=signals.every_token)


@method("dapo", source="arXiv 2503.14476")
def dapo(signals: TokenSignals) -> TokenCredit:
    """A_it = A_i: DAPO differs from GRPO by its base (clip-higher, token mean, dynamic sampling), not by its credit."""
    return grpo(signals)
