"""Measured credit: VinePPO (arXiv 2410.01679), token by token and step by step; measured information as a weight, and in EAPO."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

from tests.equations.batch import Batch, Credit, clip, every_token, places, sign, teaches


def vine(batch: Batch, every_group: bool = False) -> Credit:
    """A_t = E[r | s_t+1] - E[r | s_t] with E[r | s] = 2 V(s) - 1, and r itself after the last token."""
    advantage = []
    for response in batch.responses:
        expected = [*(2 * V - 1 for V in response.value), 1.0 if response.reward > 0 else -1.0]
        taught = every_group or teaches(batch, response.group)
        advantage.append([expected[t + 1] - expected[t] if taught else 0.0 for t in range(len(response))])
    return Credit(advantage, every_token(batch))


def vine_steps(batch: Batch, every_group: bool = False) -> Credit:
    """The same of the states at which the token's step and the next one begin."""
    advantage = []
    for response in batch.responses:
        taught = every_group or teaches(batch, response.group)
        row = []
        for own in response.response_step:
            begins = response.response_step.index(own)
            later = [t for t, step in enumerate(response.response_step) if step > own]
            outcome = 1.0 if response.reward > 0 else 0.0
            after = response.value[later[0]] if later else outcome
            row.append(2 * (after - response.value[begins]) if taught else 0.0)
        advantage.append(row)
    return Credit(advantage, every_token(batch))


def measured_information(batch: Batch) -> Credit:
    """A_i max(0, I) over its mean in the group, in which each state stands once; A_i where there is none."""
    advantage = []
    for response in batch.responses:
        known = _of_states(batch, response.group)
        mean = statistics.mean([max(Fraction(0), Fraction(own)) for own in known.values()])
        weights = [float(max(0, Fraction(own)) / mean) if mean else 1.0 for own in response.information]
        advantage.append([response.advantage * weight for weight in weights])
    return Credit(advantage, every_token(batch))


def eapo_measured(batch: Batch, alpha: float = 0.2, phi: float = 2.0) -> Credit:
    """EAPO's Eq. 6-7 with I for H; mean and deviation over the group's states, each once."""
    advantage = []
    for response in batch.responses:
        known = list(_of_states(batch, response.group).values())
        mean, deviation = statistics.mean(known), statistics.pstdev(known)
        level = math.isclose(min(known), max(known), rel_tol=1e-12, abs_tol=1e-12)
        A = response.advantage
        row = []
        for own in response.information:
            z = 0.0 if level else (own - mean) / deviation
            row.append(A + alpha * sign(A) * clip(z, -abs(A) / phi, abs(A) / phi))
        advantage.append(row)
    return Credit(advantage, every_token(batch))


def _of_states(batch: Batch, group: int) -> dict[int, float]:
    """The information of each state of a group."""
    return {batch.responses[i].state[t]: batch.responses[i].information[t] for i, t in places(batch, group)}
