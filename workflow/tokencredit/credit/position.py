"""Position alone: a token's position decides whether it is trained on, a baseline for every signal (arXiv 2605.25381)."""

from __future__ import annotations

from tokencredit.credit.parameters import Share
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "position-schedule",
    source="arXiv 2605.25381",
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[t / T_i \ge S]\, S_{i,t}}{\sum_{i,t} \mathbb 1[t / T_i \ge S]},\quad "
    r"S = \max\big(0,\ 1 - s / s_{\text{full}}\big),\quad t = 1 \ldots T_i",
    columns=("progress",),
    masks=True,
    slips="The denominator and how long the schedule takes could not be read: the kept tokens, and the whole run. The paper orders tokens "
    "by entropy too.",
)
def position_schedule(signals: TokenSignals, full: Share = 1.0) -> TokenCredit:
    """The last tokens of every response at first, and from the share ``full`` of the run on all of them; the mean is over those kept."""
    threshold = max(0.0, 1 - signals.progress / full)
    # A product such as 0.7 * 10 may lie a rounding error above the whole number that is meant.
    keep = signals.position + 1 >= threshold * signals.length - 1e-9
    return TokenCredit(signals.token_advantage, keep, denominator="kept")
