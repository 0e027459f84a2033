"""Resets: what follows a place in a failed response is sampled anew, and only that is learned from."""

from __future__ import annotations

from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "rrpo",
    source="arXiv 2605.25507 (RRPO)",
    equation=r"L = -\frac1R \sum_i \frac{1}{T_i - b_i} \sum_{t > b_i} A_i \log \pi(o_{i,t} \mid q, o_{i,<t}),\quad "
    r"b_i\text{: the tokens of } o_i \text{ that come from the failed response}",
    columns=("begun",),
    masks=True,
    slips="A prompt has two groups of equal size, each with its own mean and deviation: responses to the prompt without the first one that "
    "failed, and continuations of that one from the beginning of a step; every step is as likely. The paper calls the first group "
    "independent samples; without a failed one it is right more often than the policy, whose `solve_rate` counts that one too. The "
    "authors' deviation has ddof 0, here it has 1. Their steps end with a tag that the prompt asks for, here as those of `vine-steps`. "
    "They sample one by one until a response fails, at most twelve for groups of four; here at most as many, in two rounds.",
)
def rrpo(signals: TokenSignals) -> TokenCredit:
    """A_i on the tokens that were sampled for this response, without a ratio; those that it goes on from leave the loss and its counts."""
    return TokenCredit(
        signals.token_advantage, keep=signals.position >= signals.begun, denominator="kept", surrogate="reinforce"
    )
