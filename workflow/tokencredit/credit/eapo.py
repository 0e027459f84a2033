"""EAPO, entropy-aware policy optimisation (arXiv 2604.11056 v1), and its component ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.parameters import AboveOne, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.credit.thresholds import QUADRANTS, quadrant_of

if TYPE_CHECKING:
    from torch import Tensor

_ABLATION = "arXiv 2604.11056 v1, Table 3"
_EQUATION = (
    r"\hat A_{i,t} = A_i + \alpha\,\operatorname{sign}(A_i)\,"
    r"\operatorname{clip}\!\Big(\tfrac{H_{i,t}-\mu_H}{\sigma_H}, -\tfrac{|A_i|}{\phi}, \tfrac{|A_i|}{\phi}\Big)"
)


def _without_equation(quadrant: str) -> str:
    return _EQUATION.replace(r"\alpha\,", rf"\alpha\,\mathbb 1[(i,t) \notin \mathrm{{{quadrant.upper()}}}]\,")


@method(
    "eapo",
    source="arXiv 2604.11056 v1, Eq. 6-7",
    equation=_EQUATION,
    slips="The paper does not say which policy's entropy it means (the old one here; `eapo-per-update` takes the current one), "
    "nor the ddof of sigma_H (0 here).",
)
def eapo(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """A^CA = A + alpha sign(A) A^H with A^H = clip((H - mu_H) / sigma_H, -|A| / phi, |A| / phi).

    mu_H and sigma_H (ddof 0) are taken over the group's response tokens under the old policy. The weight A^CA / A lies in
    [1 - alpha / phi, 1 + alpha / phi], so the sign never changes while alpha < phi.
    """
    advantage = signals.token_advantage + alpha * _direction(signals, phi)
    return TokenCredit(advantage, keep=signals.every_token)


@method("eapo-per-update", source="arXiv 2604.11056 v1, Eq. 6-7", equation=_EQUATION, stage="update")
def eapo_per_update(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with the entropies of the current policy at every update, and their mean and deviation over the group in it."""
    return eapo(signals, alpha, phi)


@method("eapo-without-phr", source=_ABLATION, equation=_without_equation("phr"))
def eapo_without_phr(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with plain A_i at positive, high-entropy tokens."""
    return _without("phr", signals, alpha, phi)


@method("eapo-without-plr", source=_ABLATION, equation=_without_equation("plr"))
def eapo_without_plr(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with plain A_i at positive, low-entropy tokens."""
    return _without("plr", signals, alpha, phi)


@method("eapo-without-nhr", source=_ABLATION, equation=_without_equation("nhr"))
def eapo_without_nhr(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with plain A_i at negative, high-entropy tokens."""
    return _without("nhr", signals, alpha, phi)


@method("eapo-without-nlr", source=_ABLATION, equation=_without_equation("nlr"))
def eapo_without_nlr(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with plain A_i at negative, low-entropy tokens."""
    return _without("nlr", signals, alpha, phi)


def _without(quadrant: str, signals: TokenSignals, alpha: float, phi: float) -> TokenCredit:
    changed = quadrant_of(signals) != QUADRANTS.index(quadrant)
    advantage = signals.token_advantage + alpha * _direction(signals, phi) * changed
    return TokenCredit(advantage, keep=signals.every_token)


def direction(signals: TokenSignals, z: Tensor, phi: float) -> Tensor:
    """sign(A) clip(z, -|A| / phi, |A| / phi), [N]."""
    advantage = signals.token_advantage
    bound = advantage.abs() / phi
    return advantage.sign() * z.clamp(min=-bound, max=bound)


def _direction(signals: TokenSignals, phi: float) -> Tensor:
    """sign(A) A^H, Eq. 6."""
    return direction(signals, signals.group_zscore(signals.entropy), phi)
