"""The schedule of positions, arXiv 2605.25381: late tokens first."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, exact, plain


def position_schedule(batch: Batch, full: float = 1.0) -> Credit:
    """1[t / T >= S], S from 1 to 0; the mean is over the kept tokens."""
    S = max(0, 1 - exact(batch.progress) / exact(full))
    keep = [
        [t / S >= len(response) if S else True for t in range(1, len(response) + 1)] for response in batch.responses
    ]
    return Credit(plain(batch), keep, denominator="kept")
