"""ICT, arXiv 2606.19771, Eq. 10-11: the top k percent of each response by uniqueness, after a warm-up."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, every_token, exact, plain, quantile


def ict(batch: Batch, rho: float = 0.1, warm: float = 0.1) -> Credit:
    """1[u >= Percentile(u of the response, 100 - k)]; the mean is over the kept tokens."""
    if batch.progress < warm:
        return Credit(plain(batch), every_token(batch), denominator="kept")
    bounds = [quantile(response.uniqueness, float(1 - exact(rho))) for response in batch.responses]
    keep = [[u >= bound for u in response.uniqueness] for response, bound in zip(batch.responses, bounds, strict=True)]
    return Credit(plain(batch), keep, denominator="kept")
