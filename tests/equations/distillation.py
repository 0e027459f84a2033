"""Distillation: IW-OPD (arXiv 2606.22600) from a teacher, DASD (arXiv 2605.22263) from the policy that knows the answer."""

from __future__ import annotations

import math
import statistics

from tests.equations.batch import Batch, Credit, every_token, quantile, sigmoid, teaches


def iw_opd(batch: Batch, gamma: float = 0.5, every_group: bool = False) -> Credit:
    """A_t = log pi_T - log pi_old; w_t = 1 + gamma (1 - share of sum |A| before t); w_t A_t."""
    advantage = []
    for response in batch.responses:
        gaps = [T - old for T, old in zip(response.teacher_logprob, response.old_logprob, strict=True)]
        total = sum(abs(gap) for gap in gaps)
        row = []
        for t, gap in enumerate(gaps):
            before = sum(abs(earlier) for earlier in gaps[:t])
            weight = 1 + gamma * (1 - before / (total + 1e-8))
            row.append(weight * gap if every_group or teaches(batch, response.group) else 0.0)
        advantage.append(row)
    return Credit(advantage, every_token(batch))


def dasd(batch: Batch, beta: float = 0.1, rho: float = 0.2) -> Credit:
    """omega = tanh((tau - H) / sigma_H) sigmoid(|d| - 1); A + beta omega d, all statistics the response's own.

    tau: the (1 - rho)-quantile of H; sigma_H: its mean absolute deviation; d: log pi(privileged) - log pi_old over its mean size.
    """
    advantage = []
    for response in batch.responses:
        A = response.advantage
        if not teaches(batch, response.group):
            advantage.append([0.0 for _ in response.entropy])
            continue
        gaps = [own - old for own, old in zip(response.privileged_logprob, response.old_logprob, strict=True)]
        size = statistics.mean([abs(gap) for gap in gaps])
        tau = quantile(response.entropy, 1 - rho)
        mean = statistics.mean(response.entropy)
        sigma = statistics.mean([abs(H - mean) for H in response.entropy])
        row = []
        for H, gap in zip(response.entropy, gaps, strict=True):
            d = gap / size if size > 0 else 0.0
            omega = math.tanh((tau - H) / sigma) * sigmoid(abs(d) - 1) if sigma > 0 else 0.0
            row.append(A + beta * omega * d)
        advantage.append(row)
    return Credit(advantage, every_token(batch))
