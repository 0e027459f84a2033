"""Clip-Cov and KL-Cov, arXiv 2505.22617."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, Ragged, every_token, exact, places, plain


def clip_cov(
    batch: Batch, r: float = 2e-4, low: float = 1.0, high: float = 5.0, clip_low: float = 0.2, clip_high: float = 0.2
) -> Credit:
    """A random floor(r N), at least 1, of the not-clipped tokens with low < cov < high are left out of the sum, not of the mean."""
    cov = _covariances(batch)
    eligible = []
    for i, t in places(batch):
        response = batch.responses[i]
        A = response.advantage
        rho = math.exp(response.logprob[t] - response.old_logprob[t])
        clipped = (A > 0 and rho > 1 + clip_high) or (A < 0 and rho < 1 - clip_low)
        if low < cov[i][t] < high and not clipped:
            eligible.append((response.noise[t], i, t))
    keep = every_token(batch)
    for _, i, t in sorted(eligible)[: max(1, math.floor(exact(r) * len(places(batch))))]:
        keep[i][t] = False
    return Credit(plain(batch), keep, clip_low=clip_low, clip_high=clip_high)


def kl_cov(batch: Batch, k: float = 2e-3, beta: float = 1.0) -> Credit:
    """-A rho, unclipped, at every token; the k N (at least 1) of highest covariance also beta |log pi - log pi_old|.

    Groups without advantage have none of these.
    """
    cov = _covariances(batch)
    teaching = {response.group for response in batch.responses if response.advantage != 0}
    among = [(i, t) for i, t in places(batch) if batch.responses[i].group in teaching]
    ordered = sorted(among, key=lambda place: -cov[place[0]][place[1]])
    penalty = [[0.0 for _ in row] for row in cov]
    for i, t in ordered[: max(1, math.floor(exact(k) * len(places(batch))))]:
        penalty[i][t] = beta
    return Credit(plain(batch), every_token(batch), surrogate="unclipped", old_kl_coef=penalty)


def _covariances(batch: Batch) -> Ragged:
    """(log pi - mean log pi)(A - mean A), means over the tokens of the batch."""
    logprobs, advantages = [], []
    for i, t in places(batch):
        logprobs.append(batch.responses[i].logprob[t])
        advantages.append(batch.responses[i].advantage)
    mean_logprob, mean_advantage = statistics.mean(logprobs), statistics.mean(advantages)
    return [
        [(logprob - mean_logprob) * (response.advantage - mean_advantage) for logprob in response.logprob]
        for response in batch.responses
    ]
