"""Archer: looser clipping and no KL where a response is uncertain, tight clipping and KL where it is sure (arXiv 2507.15778)."""

from __future__ import annotations

from tokencredit.credit.parameters import NonNegative, Share, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_quantile
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "archer",
    plain=True,
    source="arXiv 2507.15778",
    equation=r"\epsilon_{i,t} = \omega\,\epsilon_r + (1-\omega)\,\epsilon_k,\quad \beta_{i,t} = \omega\,\beta_r \tfrac{N}{N_r} + "
    r"(1-\omega)\,\beta_k \tfrac{N}{N_k},\quad \omega = \mathbb 1[H_{i,t} \ge Q_\rho(H_i)]",
    stage="update",
    columns=("ref_logprob",),
    slips="In the code each of the two KL terms is divided by its own number of tokens, which the formula does not say; here too. "
    "Two names in the code are exchanged, consistently.",
)
def archer(
    signals: TokenSignals,
    rho: UpToOne = 0.8,
    eps_r: Share = 0.5,
    eps_k: Share = 0.2,
    beta_r: NonNegative = 0.0,
    beta_k: NonNegative = 0.001,
) -> TokenCredit:
    """Tokens at or above the ``rho``-quantile of their own response's entropies get ``eps_r`` and ``beta_r``, others ``eps_k``, ``beta_k``.

    Each KL term is a mean over its own tokens: its coefficient is scaled by N / (their number), which is exact under the token mean.
    """
    advantage = signals.token_advantage
    high = (signals.entropy.double() >= segment_quantile(signals.entropy, signals.response, rho)).double()
    low = 1 - high
    one = 1 / max(len(high), 1)
    clip = high * eps_r + low * eps_k
    kl = high * (beta_r / high.mean().clamp(min=one)) + low * (beta_k / low.mean().clamp(min=one))
    clip, kl = clip.to(advantage.dtype), kl.to(advantage.dtype)
    return TokenCredit(advantage, signals.every_token, clip_low=clip, clip_high=clip, kl_coef=kl)
