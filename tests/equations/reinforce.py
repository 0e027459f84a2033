"""PSR, NSR and W-REINFORCE, arXiv 2506.01347: no baseline, no deviation."""

from __future__ import annotations

from tests.equations.batch import Batch, Credit, every_token, teaches


def psr(batch: Batch, every_group: bool = False) -> Credit:
    """+1 on right responses; the others are left out."""
    return Credit(_signed(batch, 1.0, 0.0, every_group), _only(batch, right=True))


def nsr(batch: Batch, every_group: bool = False) -> Credit:
    """-1 on wrong responses; the others are left out."""
    return Credit(_signed(batch, 0.0, -1.0, every_group), _only(batch, right=False))


def w_reinforce(batch: Batch, lam: float = 0.1, every_group: bool = False) -> Credit:
    """lambda on right responses, -1 on wrong ones."""
    return Credit(_signed(batch, lam, -1.0, every_group), every_token(batch))


def _signed(batch: Batch, if_right: float, if_wrong: float, every_group: bool) -> list[list[float]]:
    advantage = []
    for response in batch.responses:
        A = if_right if response.reward > 0 else if_wrong
        advantage.append([A if every_group or teaches(batch, response.group) else 0.0 for _ in response.entropy])
    return advantage


def _only(batch: Batch, right: bool) -> list[list[bool]]:
    return [[(response.reward > 0) == right for _ in response.entropy] for response in batch.responses]
