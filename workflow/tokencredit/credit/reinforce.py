"""Separate reinforcement of right and of wrong responses: PSR, NSR and W-REINFORCE (arXiv 2506.01347)."""

from __future__ import annotations

from tokencredit.credit.parameters import NonNegative
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals

_SOURCE = "arXiv 2506.01347"
_RELEASED = (
    "The released code keeps PPO's clip and an entropy bonus of 0.001 that no script switches off, and divides by the tokens of the kept "
    "responses; here all tokens are the denominator, so that the loss of W-REINFORCE is lambda PSR + NSR. Groups of equal rewards "
    "teach nothing unless `every_group` is true, as published."
)


@method(
    "psr", source=_SOURCE, equation=r"\hat A_{i,t} = \mathbb 1[r_i > 0]", masks=True, per_token=False, slips=_RELEASED
)
def psr(signals: TokenSignals, every_group: bool = False) -> TokenCredit:
    """Positive sample reinforcement: +1 on the tokens of right responses, without a baseline; wrong ones are left out."""
    credit = w_reinforce(signals, 1.0, every_group)
    return TokenCredit(credit.advantage, keep=signals.right)


@method(
    "nsr",
    source=_SOURCE,
    equation=r"\hat A_{i,t} = -\mathbb 1[r_i \le 0]",
    masks=True,
    per_token=False,
    slips=_RELEASED,
)
def nsr(signals: TokenSignals, every_group: bool = False) -> TokenCredit:
    """Negative sample reinforcement: -1 on the tokens of wrong responses, without a baseline; right ones are left out."""
    credit = w_reinforce(signals, 1.0, every_group)
    return TokenCredit(credit.advantage, keep=~signals.right)


@method(
    "w-reinforce",
    per_token=False,
    source=_SOURCE,
    equation=r"\hat A_{i,t} = \lambda\,\mathbb 1[r_i > 0] - \mathbb 1[r_i \le 0]",
    slips=_RELEASED,
)
def w_reinforce(signals: TokenSignals, lam: NonNegative = 0.1, every_group: bool = False) -> TokenCredit:
    """lambda on right responses, -1 on wrong ones: no baseline, no standard deviation."""
    sign = signals.right.to(signals.advantage.dtype)
    advantage = lam * sign - (1 - sign)
    return TokenCredit(advantage if every_group else advantage * signals.varied, keep=signals.every_token)
