"""EAPO, arXiv 2604.11056 v1: Eq. 6-7, and Table 3's runs without one quadrant."""

from __future__ import annotations

from functools import partial

from tests.equations.batch import Batch, Credit, clip, entropies, every_token, places, sign, values_at, zscore
from tests.equations.quadrants import quadrants_of


def eapo(batch: Batch, alpha: float = 0.2, phi: float = 2.0, *, without: str | None = None) -> Credit:
    """A^H = clip((H - mu_H) / sigma_H, -|A| / phi, |A| / phi); A^CA = A + alpha sign(A) A^H; plain A in the quadrant ``without``."""
    quadrants = quadrants_of(batch)
    advantage = []
    for i, response in enumerate(batch.responses):
        of_group = values_at(entropies(batch), places(batch, response.group))
        A = response.advantage
        row = []
        for t, H in enumerate(response.entropy):
            bonus = clip(zscore(H, of_group), -abs(A) / phi, abs(A) / phi)
            row.append(A if quadrants[i][t] == without else A + alpha * sign(A) * bonus)
        advantage.append(row)
    return Credit(advantage, every_token(batch))


# The column of entropies is the current policy's at the update stage: the equation is the same.
eapo_per_update = eapo
eapo_without_phr, eapo_without_plr, eapo_without_nhr, eapo_without_nlr = (
    partial(eapo, without=name) for name in ("phr", "plr", "nhr", "nlr")
)
