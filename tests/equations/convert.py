"""From the oracles' nested lists to the package's flat tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.equations.batch import Batch, Ragged
from tokencredit.credit import TokenSignals

PER_TOKEN = (
    "entropy",
    "old_logprob",
    "logprob",
    "ref_logprob",
    "rollout_logprob",
    "teacher_logprob",
    "privileged_logprob",
    "privileged_entropy",
    "contrast_logprob",
    "residual_norm",
    "attention_entropy",
    "uniqueness",
    "noise",
    "value",
    "information",
)
WHOLE = ("state", "response_step", "kind", "begun")


def signals_of(batch: Batch) -> TokenSignals:
    """The same batch as float64 tensors."""

    def tokens(name: str) -> Tensor:
        return flat([getattr(response, name) for response in batch.responses])

    def per_response(name: str) -> list[float]:
        return [getattr(response, name) for response in batch.responses]

    lengths = [len(response) for response in batch.responses]
    return TokenSignals(
        response=torch.tensor([i for i, length in enumerate(lengths) for _ in range(length)], dtype=torch.int64),
        position=torch.tensor([t for length in lengths for t in range(length)], dtype=torch.int64),
        reward=torch.tensor(per_response("reward"), dtype=torch.float64),
        advantage=torch.tensor(per_response("advantage"), dtype=torch.float64),
        group=torch.tensor(per_response("group"), dtype=torch.int64),
        progress=batch.progress,
        entropy_history=torch.tensor(batch.entropy_history, dtype=torch.float64),
        hidden=torch.tensor([state for response in batch.responses for state in response.hidden], dtype=torch.float64),
        **{name: tokens(name) for name in PER_TOKEN},
        **{name: tokens(name).long() for name in WHOLE},
    )


def flat(ragged: Ragged) -> Tensor:
    """[N] float64."""
    return torch.tensor([value for row in ragged for value in row], dtype=torch.float64)
