"""Resets: RRPO (arXiv 2605.25507, section 4.3), as credit, and its loss from whole sequences."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, plain


def rrpo(batch: Batch) -> Credit:
    """A_i log pi of what follows the shared prefix; the prefix counts in no mean."""
    keep = [[t >= begun for t, begun in enumerate(response.begun)] for response in batch.responses]
    return Credit(plain(batch), keep, denominator="kept", surrogate="reinforce")


def shared_prefix_loss(advantage: list[float], logprob: list[list[float]]) -> float:
    """L_SP = -1/G sum_i 1/T_i sum_t A_i log pi(y_i,t | x*, y_i,<t). ``logprob``: of suffixes alone, which begin at the reset state x*."""
    total = 0.0
    for A, suffix in zip(advantage, logprob, strict=True):
        total += A * sum(suffix) / len(suffix)
    return -total / len(advantage)
