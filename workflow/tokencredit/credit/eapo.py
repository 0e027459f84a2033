"""EAPO, entropy-aware policy optimisation (arXiv 2604.11056 v1), and its component ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.registry import method
from tokencredit.credit.signals import QUADRANTS, TokenCredit, TokenSignals, quadrant_of

if TYPE_CHECKING:
    from torch import Tensor

_ABLATION = "arXiv 2604.11056 v1, Table 3"


@method("eapo", source="arXiv 2604.11056 v1, Eq. 6-7")
def eapo(signals: TokenSignals, alpha: float = 0.2, phi: float = 2.0) -> TokenCredit:
    """A^CA = A + alpha sign(A) A^H with A^H = clip((H - mu_H) / sigma_H, -|A| / phi, |A| / phi).

    mu_H and sigma_H (ddof 0) are taken over the group's response tokens under the old policy. The weight A^CA / A lies in
    [1 - alpha / phi, 1 + alpha / phi], so the sign never changes while alpha < phi.
    """
    advantage = signals.token_advantage + alpha * _direction(signals, phi)
    return TokenCredit(advantage, keep=signals.every_token)


@method("eapo-without-phr", source=_ABLATION)
def eapo_without_phr(signals: TokenSignals, alpha: float = 0.2, phi: float = 2.0) -> TokenCredit:
    """EAPO with plain A_i at positive, high-entropy tokens."""
    return _without("phr", signals, alpha, phi)


@method("eapo-without-plr", source=_ABLATION)
def eapo_without_plr(signals: TokenSignals, alpha: float = 0.2, phi: float = 2.0) -> TokenCredit:
    """EAPO with plain A_i at positive, low-entropy tokens."""
    return _without("plr", signals, alpha, phi)


@method("eapo-without-nhr", source=_ABLATION)
def eapo_without_nhr(signals: TokenSignals, alpha: float = 0.2, phi: float = 2.0) -> TokenCredit:
    """EAPO with plain A_i at negative, high-entropy tokens."""
    return _without("nhr", signals, alpha, phi)


@method("eapo-without-nlr", source=_ABLATION)
def eapo_without_nlr(signals: TokenSignals, alpha: float = 0.2, phi: float = 2.0) -> TokenCredit:
    """EAPO with plain A_i at negative, low-entropy tokens."""
    return _without("nlr", signals, alpha, phi)


def _without(quadrant: str, signals: TokenSignals, alpha: float, phi: float) -> TokenCredit:
    changed = quadrant_of(signals) != QUADRANTS.index(quadrant)
    advantage = signals.token_advantage + alpha * _direction(signals, phi) * changed
    return TokenCredit(advantage, keep=signals.every_token)


def _direction(signals: TokenSignals, phi: float) -> Tensor:
    """sign(A) A^H, Eq. 6."""
    advantage = signals.token_advantage
    bound = advantage.abs() / phi
    return advantage.sign() * signals.group_zscore(signals.entropy).clamp(min=-bound, max=bound)
