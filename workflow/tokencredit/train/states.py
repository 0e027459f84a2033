"""Columns that are made from the last states of the policy: the states themselves, and how unlike its group a token's distribution is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokencredit.credit import TokenSignals
from tokencredit.policy import states
from tokencredit.train.rollouts import RolloutBatch

if TYPE_CHECKING:
    from tokencredit.train.columns import Column, Source


def hidden(source: Source) -> Column:
    """The last state that predicts each token: float32, or bfloat16 where passes are in it. N x H numbers in every process."""
    training = source.spec.study.training
    dtype = torch.bfloat16 if training.mixed_precision == "bf16" else torch.float32

    def found(share: list[states.Sequence]) -> Tensor:
        return states.hidden_states(source.policy, share, source.budget).to(dtype).T

    return lambda step, batch, signals: source.processes.rows(batch.sequences, found).T


def uniqueness(source: Source) -> Column:
    """How far each token's distribution is from the mean of its group's at the same position. A group is one process's, whole."""
    temperature = source.spec.study.training.sampling.temperature

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        groups: list[list[states.Sequence]] = [[] for _ in range(batch.groups)]
        for group, sequence in zip(batch.group.tolist(), batch.sequences, strict=True):
            groups[group].append(sequence)
        mine = source.processes.block(groups)
        found = [states.uniqueness(source.policy, group, source.budget, temperature) for group in mine]
        return torch.cat(source.processes.together(found))

    return column
