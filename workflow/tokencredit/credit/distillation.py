"""Credit from a teacher: another model (IW-OPD), or the same model with the answer in its prompt (DASD)."""

from __future__ import annotations

from tokencredit.credit.parameters import NonNegative, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_mean, segment_quantile, segment_sum
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "iw-opd",
    source="arXiv 2606.22600",
    equation=r"\hat A_{i,t} = w_{i,t} A_{i,t},\quad A_{i,t} = \log\pi_T - \log\pi_{\text{old}},\quad w_{i,t} = 1 + \gamma\Big(1 - "
    r"\frac{\sum_{k<t} |A_{i,k}|}{\sum_k |A_{i,k}| + 10^{-8}}\Big)",
    columns=("teacher_logprob",),
    slips="TRL's experimental trainer has the same rule. Self-distillation that weighs *later* tokens more (arXiv 2605.21606) gains "
    "too. The reward does not enter; groups of equal rewards teach nothing unless `every_group` is true, as published.",
)
def iw_opd(signals: TokenSignals, gamma: NonNegative = 0.5, every_group: bool = False) -> TokenCredit:
    """The teacher's log-ratio at each token, weighed by what share of the response's disagreement lies still ahead.

    The weight falls from 1 + gamma at the first token towards 1 and never rises.
    """
    gap = (signals.teacher_logprob - signals.old_logprob).double()
    size = gap.abs()
    running = size.cumsum(0)
    before = running - size
    start = before.where(signals.position == 0, before.new_zeros(len(before)))
    share = (before - segment_sum(start, signals.response)).clamp(min=0) / (segment_sum(size, signals.response) + 1e-8)
    advantage = (1 + gamma * (1 - share)) * gap
    if not every_group:
        advantage = advantage * signals.varied
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)


@method(
    "dasd",
    source="arXiv 2605.22263, after an account of it",
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i + \beta\,\omega_{i,t} d_{i,t},\quad \omega = \tanh\!\Big(\frac{\tau_\rho - H_{i,t}}{\sigma_H}\Big)\,"
    r"\sigma(|d_{i,t}| - 1)",
    columns=("privileged_logprob",),
    slips="beta, the normalisation of d and which side of the entropies rho means could not be read: here the rho most uncertain tokens "
    "of a response are pushed away from the teacher, and d is divided by its mean size in the response. Not arXiv 2601.09088 (DASD-4B).",
)
def dasd(signals: TokenSignals, beta: NonNegative = 0.1, rho: UpToOne = 0.2) -> TokenCredit:
    """Towards the informed self where the entropy is below the response's (1 - rho)-quantile, away from it above.

    d: log pi(privileged prompt) - log pi, over its mean absolute value in the response; sigma_H: mean absolute deviation of its entropies.
    """
    gap = (signals.privileged_logprob - signals.old_logprob).double()
    gap_size = segment_mean(gap.abs(), signals.response)
    d = gap / gap_size.masked_fill(gap_size == 0, 1.0)
    entropy = signals.entropy.double()
    spread = segment_mean((entropy - segment_mean(entropy, signals.response)).abs(), signals.response)
    below = segment_quantile(entropy, signals.response, 1 - rho) - entropy
    direction = (below / spread.masked_fill(spread <= 1e-12, 1.0)).masked_fill(spread <= 1e-12, 0.0).tanh()
    shaped = signals.token_advantage.double() + beta * direction * (d.abs() - 1).sigmoid() * d * signals.varied
    return TokenCredit(shaped.to(signals.advantage.dtype), signals.every_token)
