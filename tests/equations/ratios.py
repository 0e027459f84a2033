"""Ratios: GSPO (arXiv 2507.18071), HoelderPO (2605.12058), CISPO (2506.13585), truncated importance sampling."""

from __future__ import annotations

import math

from tests.equations.batch import Batch, Credit, every_token, plain


def gspo(batch: Batch, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Credit:
    """One ratio for the response, (pi / pi_old)^(1 / T): the geometric mean of its tokens'."""
    return Credit(plain(batch), every_token(batch), clip_low=clip_low, clip_high=clip_high, ratio="response")


def gspo_token(batch: Batch, clip_low: float = 3e-4, clip_high: float = 4e-4) -> Credit:
    """sg[s_i] pi / sg[pi]."""
    return Credit(plain(batch), every_token(batch), clip_low=clip_low, clip_high=clip_high, ratio="response-token")


def hoelderpo(
    batch: Batch, start: float = 2.0, end: float = -2.0, clip_low: float = 0.2, clip_high: float = 0.2
) -> Credit:
    """The power mean of order p of the tokens' ratios, p linear from ``start`` to ``end``."""
    power = start * (1 - batch.progress) + end * batch.progress
    return Credit(
        plain(batch),
        every_token(batch),
        clip_low=clip_low,
        clip_high=clip_high,
        ratio="response",
        ratio_power=power,
    )


def cispo(batch: Batch, clip_low: float = 1.0, clip_high: float = 4.0) -> Credit:
    """-sg[clip(rho)] A log pi, ratios up to 5 by default and without a lower bound."""
    return Credit(plain(batch), every_token(batch), clip_low=clip_low, clip_high=clip_high, surrogate="cispo")


def tis(batch: Batch, cap: float = 2.0) -> Credit:
    """A min(pi_train / pi_rollout, C)."""
    advantage = []
    for response in batch.responses:
        factors = [
            min(math.exp(trainer - sampler), cap)
            for trainer, sampler in zip(response.old_logprob, response.rollout_logprob, strict=True)
        ]
        advantage.append([response.advantage * factor for factor in factors])
    return Credit(advantage, every_token(batch))
