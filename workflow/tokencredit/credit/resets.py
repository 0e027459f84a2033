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
    slips="A prompt has two groups of equal size, each with a mean and a deviation of its own: responses from the prompt, and continuations of "
    "its first failed response from the beginning of a step, drawn by the same chance for each. The failed response is not learned from. "
    "The paper calls the first group independent samples; without the first failed one more of it is right than of the policy's samples, "
    "which `solve_rate` counts. The authors' deviation has ddof 0, here it has 1. Their steps end with a tag that the prompt asks for, here "
    "as those of `vine-steps`. They sample on until a response fails, twelve in all for groups of four; here the same number is sampled in "
    "two rounds.",
)
def rrpo(signals: TokenSignals) -> TokenCredit:
    """A_i on the tokens that were sampled for this response, without a ratio; those that it goes on from leave the loss and its counts."""
    return TokenCredit(
        signals.token_advantage, keep=signals.position >= signals.begun, denominator="kept", surrogate="reinforce"
    )
