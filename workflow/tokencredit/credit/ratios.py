"""Methods that keep the group advantage and change the ratio: GSPO, HölderPO, CISPO, TIS. On-policy all of them are GRPO."""

from __future__ import annotations

from tokencredit.credit.parameters import Positive, Share
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "gspo",
    plain=True,
    per_token=False,
    source="arXiv 2507.18071",
    equation=r"S_{i} = \min\big(s_i A_i, \operatorname{clip}(s_i, 1-\epsilon_l, 1+\epsilon_h) A_i\big),\quad s_i = "
    r"\Big(\frac{\pi(o_i)}{\pi_{\text{old}}(o_i)}\Big)^{1/T_i}",
)
def gspo(signals: TokenSignals, clip_low: Share = 3e-4, clip_high: Positive = 4e-4) -> TokenCredit:
    """One ratio for the response, the geometric mean of its tokens', clipped as a whole."""
    return TokenCredit(
        signals.token_advantage, signals.every_token, clip_low=clip_low, clip_high=clip_high, ratio="response"
    )


@method(
    "gspo-token",
    plain=True,
    per_token=False,
    source="arXiv 2507.18071",
    equation=r"s_{i,t} = \mathrm{sg}[s_i]\,\frac{\pi(o_{i,t})}{\mathrm{sg}[\pi(o_{i,t})]},\quad S_{i,t} = \min\big(s_{i,t} A_i, "
    r"\operatorname{clip}(s_{i,t}) A_i\big)",
    slips="With one advantage for the whole response it has GSPO's value and gradient; the form exists for advantages per token.",
)
def gspo_token(signals: TokenSignals, clip_low: Share = 3e-4, clip_high: Positive = 4e-4) -> TokenCredit:
    """GSPO's ratio with the gradient of each token's own log-prob."""
    return TokenCredit(
        signals.token_advantage, signals.every_token, clip_low=clip_low, clip_high=clip_high, ratio="response-token"
    )


@method(
    "hoelderpo",
    plain=True,
    per_token=False,
    source="arXiv 2605.12058",
    equation=r"\rho_{i} = \Big(\tfrac1{T_i}\sum_t \rho_{i,t}^{p}\Big)^{1/p},\quad p = p_0 + s\,(p_1 - p_0)",
    columns=("progress",),
    slips="The authors anneal over 500 steps of their schedule; here over the run.",
)
def hoelderpo(
    signals: TokenSignals, start: float = 2.0, end: float = -2.0, clip_low: Share = 0.2, clip_high: Positive = 0.2
) -> TokenCredit:
    """One ratio for the response, the power mean of order p of its tokens', p from ``start`` to ``end`` over the run."""
    power = start + (end - start) * signals.progress
    return TokenCredit(
        signals.token_advantage,
        signals.every_token,
        clip_low=clip_low,
        clip_high=clip_high,
        ratio="response",
        ratio_power=power,
    )


@method(
    "cispo",
    plain=True,
    per_token=False,
    source="arXiv 2506.13585",
    equation=r"S_{i,t} = \mathrm{sg}\big[\operatorname{clip}(\rho_{i,t}, 1-\epsilon_l, 1+\epsilon_h)\big]\, A_i \log\pi_{i,t}",
    slips="Trainers read the upper bound differently: as the largest ratio itself, or as what is added to 1. Here it is added: the default "
    "lets ratios up to 5 through and has no lower bound.",
)
def cispo(signals: TokenSignals, clip_low: Share = 1.0, clip_high: Positive = 4.0) -> TokenCredit:
    """The clipped ratio is a weight: a clipped token keeps its gradient."""
    return TokenCredit(
        signals.token_advantage, signals.every_token, clip_low=clip_low, clip_high=clip_high, surrogate="cispo"
    )


@method(
    "tis",
    source="truncated importance sampling between trainer and sampler",
    equation=r"\hat A_{i,t} = A_i \min\!\Big(\frac{\pi_{\text{train}}(o_{i,t})}{\pi_{\text{rollout}}(o_{i,t})}, C\Big)",
    columns=("rollout_logprob",),
    slips="Trainers differ in their cap (2 or 3) and in whether they truncate or mask, tokens or sequences. This is "
    "the token form, truncated.",
)
def tis(signals: TokenSignals, cap: Positive = 2.0) -> TokenCredit:
    """A_i times how much likelier the trainer's old policy finds the token than the sampler did, at most ``cap``."""
    mismatch = (signals.old_logprob - signals.rollout_logprob).double().exp().clamp(max=cap)
    advantage = signals.token_advantage * mismatch
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)
