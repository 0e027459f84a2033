"""Uniform credit: every token of a response carries the same advantage."""

from __future__ import annotations

from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_mean
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "grpo",
    plain=True,
    per_token=False,
    source="arXiv 2402.03300",
    equation=r"\hat A_{i,t} = A_i = \frac{r_i - \operatorname{mean}_G r}{\operatorname{std}_G r}",
)
def grpo(signals: TokenSignals) -> TokenCredit:
    """A_it = A_i."""
    return TokenCredit(signals.token_advantage, keep=signals.every_token)


@method(
    "dapo",
    plain=True,
    per_token=False,
    source="arXiv 2503.14476",
    equation=r"\hat A_{i,t} = A_i",
    slips="The recipe's account and its best run disagree on overlong filtering; truncated responses are graded as they are here.",
)
def dapo(signals: TokenSignals) -> TokenCredit:
    """A_it = A_i: DAPO differs from GRPO by its recipe (clip-higher, token mean, dynamic sampling), not by its credit."""
    return grpo(signals)


@method(
    "dr-grpo",
    per_token=False,
    source="arXiv 2503.20783",
    equation=r"\hat A_{i,t} = r_i - \operatorname{mean}_G r",
)
def dr_grpo(signals: TokenSignals) -> TokenCredit:
    """A_it = r_i - mean_G r, without the standard deviation; its recipe divides by a constant (``aggregation: constant``)."""
    centred = signals.reward - segment_mean(signals.reward, signals.response_group).to(signals.reward.dtype)
    advantage = centred[signals.response] * signals.varied
    return TokenCredit(advantage.to(signals.advantage.dtype), keep=signals.every_token)
