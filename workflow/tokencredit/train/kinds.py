"""The column ``kind``: what each token of a response does, as the task of an embedded model tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokencredit.credit import TokenSignals
from tokencredit.credit.signals import KINDS
from tokencredit.data.tasks import TASKS
from tokencredit.engines.ending import token_texts
from tokencredit.errors import UserError
from tokencredit.train.rollouts import RolloutBatch

if TYPE_CHECKING:
    from tokencredit.train.columns import Column, Source


def kind(source: Source) -> Column:
    """[N] int64: the place of each token's kind in ``KINDS``. ``UserError`` for a task that tells other kinds."""
    name = source.spec.model.task
    task = TASKS[name]
    texts = {(problem.problem_id, prompt): problem.problem for problem, prompt in source.prompts.problems}

    def column(step: int, batch: RolloutBatch, signals: TokenSignals) -> Tensor:
        found = []
        for rollout in batch.rollouts:
            tokens = token_texts(source.tokenizer, rollout.response.token_ids)
            problem = texts[rollout.problem_id, rollout.prompt_tokens] if task.KINDS_NEED_PROBLEM else ""
            found += task.kinds(tokens, problem)
        if unknown := sorted({*found} - {*KINDS}):
            raise UserError(
                f"{source.spec.name}: the task {name!r} calls a token {unknown[0]!r}; credit by kind knows {', '.join(KINDS)}."
            )
        return torch.tensor([KINDS.index(each) for each in found], dtype=torch.long)

    return column
