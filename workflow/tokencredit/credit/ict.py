"""ICT: the tokens learn whose distribution is unlike that of the group's other responses at the same position (arXiv 2606.19771)."""

from __future__ import annotations

from tokencredit.credit.parameters import Share, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_quantile
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "ict",
    source="arXiv 2606.19771, Eq. 9-11 and 24-26",
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[u_{i,t} \ge Q_{1-\rho}(u_{i,\cdot})]\, S_{i,t}}"
    r"{\sum_{i,t} \mathbb 1[u_{i,t} \ge Q_{1-\rho}(u_{i,\cdot})]},\quad "
    r"u_{i,t} = \operatorname{JS}\Big(p_{i,t},\ \frac1{|V_t|} \sum_{j \in V_t} p_{j,t}\Big),\quad V_t = \{j : T_j \ge t\}",
    columns=("uniqueness", "progress"),
    masks=True,
    slips="The t-th tokens of two responses have nothing to do with each other once the responses have parted, so u mostly says how far a "
    "distribution is from an average one; where a single response is that long u is 0. All tokens learn at first: the paper tried 10, 20 "
    "and 40 steps, says neither which its tables have nor of how many, and found them alike; here it is a share of the run. It divides by "
    "the kept tokens within each response first (`aggregation: sequence-mean`); here the recipe says. The quantile is interpolated, as "
    "numpy's is.",
)
def ict(signals: TokenSignals, rho: Share = 0.1, warm: UpToOne = 0.1) -> TokenCredit:
    """The share ``rho`` of each response's tokens least like the group; all tokens until the share ``warm`` of the run is done."""
    keep = signals.every_token
    if signals.progress >= warm:
        keep = signals.uniqueness.double() >= segment_quantile(signals.uniqueness, signals.response, 1 - rho)
    return TokenCredit(signals.token_advantage, keep, denominator="kept")
