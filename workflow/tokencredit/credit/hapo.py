"""HAPO (arXiv 2604.11056 v2): only its abstract could be read, so this is a reconstruction and is marked so wherever it appears."""

from __future__ import annotations

from tokencredit.credit.parameters import AboveOne, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "hapo",
    source="arXiv 2604.11056 v2, abstract",
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\frac{w_{i,t}}{\frac1{T_i}\sum_k w_{i,k}},\quad "
    r"w_{i,t} = 1 + \alpha\,\operatorname{clip}\!\Big(\tfrac{H_{i,t}-\mu_H}{\sigma_H |A_i|}, -\tfrac1\phi, \tfrac1\phi\Big)",
    slips="Only the abstract of v2 was available; HAPO may be EAPO's Eq. 6-7 under a new name. Not arXiv 2509.16591 (`hetero-hapo`).",
)
def hapo(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """A'_it = A_i w_it / mean_t(w_it) within each response, with EAPO's weight w = 1 + alpha clip(z / |A|, -1 / phi, 1 / phi).

    A sign-preserving reallocation of advantage towards capacity: sum_t |A'_it| = sum_t |A_i| in every response.
    """
    advantage = signals.token_advantage
    size = advantage.abs()
    zero = size == 0
    z = signals.group_zscore(signals.entropy)
    weight = 1 + alpha * (z / size.masked_fill(zero, 1.0)).clamp(min=-1 / phi, max=1 / phi)
    share = weight.double() / signals.response_mean(weight)
    reallocated = (advantage * share).to(advantage.dtype)
    return TokenCredit(reallocated, keep=signals.every_token)
