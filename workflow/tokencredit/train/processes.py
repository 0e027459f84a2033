"""The processes that train one run together: how they share work, and how they agree on it.

Every process holds the same plan and computes the same credit, so only what is costly is shared out: sampling and grading by requests,
forward and backward passes by sequences. With one process all of this is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

from tokencredit.config import Training
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, balanced, micro_batches
from tokencredit.policy.packing import layout_of

T = TypeVar("T")

# What a process passes through the policy while others have more to do: a pass is a thing that all do together.
NOTHING = Sequence((0,), (0,))


@contextmanager
def joined(training: Training | None = None) -> Iterator[Processes]:
    """This process among those that were ``launch.numbered``, by accelerate, torchrun, srun or ``--processes``; alone without a number.

    Tensors of GPUs go through NCCL, what lies in memory through gloo. ``UserError`` where there are fewer GPUs than processes, and where
    accelerate was told of another precision than ``training``'s.
    """
    said = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if training and said not in ("no", training.mixed_precision):
        raise UserError(
            f"accelerate's configuration: mixed_precision = {said}; allowed: no, for the study says it: {training.mixed_precision!r}."
        )
    gpus, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", -1))
    if 0 < gpus <= local:
        raise UserError(
            f"process {local} of this machine has no GPU of its own: there are {gpus}; at most as many processes are allowed."
        )
    # Every process samples from weights of its own, so each reads the model, whatever a configuration of accelerate says.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    # How long a process may wait for another is the heartbeat's to say.
    group: dict[str, Any] = {"timeout": timedelta(days=365)}
    if gpus and local >= 0:
        group["backend"] = "cpu:gloo,cuda:nccl"
    state = PartialState(cpu=not gpus, **group)
    device = torch.device("cuda", torch.cuda.current_device()) if gpus else torch.device("cpu")
    yield Processes(state.process_index, state.num_processes, device)
    # Not after an error: the others may be elsewhere, and taking leave of them would hang.
    state.destroy_process_group()


@dataclass(frozen=True)
class Processes:
    """All processes of a run, seen from the one of number ``rank``, which computes on ``device``."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """The ``value`` of every process, by rank, in each of them."""
        return gather_object([value]) if self.count > 1 else [value]

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the first process, in every one; the others wait for it."""
        return self.gather(make() if self.first else None)[0]

    def block(self, items: list[T]) -> list[T]:
        """This process's run of ``items``; the runs of all are of nearly equal length, and ``together`` they are ``items``."""
        return items[self.rank * len(items) // self.count : (self.rank + 1) * len(items) // self.count]

    def together(self, block: list[T]) -> list[T]:
        """The blocks of all processes, one after the other."""
        return gather_object(block) if self.count > 1 else block

    def share(self, sequences: list[Sequence]) -> list[int]:
        """The places in ``sequences`` of those that this process takes: about as much work as any other's, and all of them alone."""
        return self._shares(sequences)[self.rank]

    def idle_passes(self, scorer: Scorer, sequences: list[Sequence], budget: int) -> int:
        """How many more passes another process needs for its share of ``sequences`` than this one.

        The weights of a pass are gathered from all processes, so each makes as many passes as the busiest, some of them with ``NOTHING``.
        """
        if self.count == 1:
            return 0
        layout = layout_of(scorer.model)
        passes = [
            sum(1 for _ in micro_batches([sequences[index] for index in share], budget, layout))
            for share in self._shares(sequences)
        ]
        return max(passes) - passes[self.rank]

    def score(self, scorer: Scorer, sequences: list[Sequence], budget: int) -> tuple[Tensor, Tensor]:
        """``scorer.score`` of all sequences: log-probs and entropies in nats, [N] float32 each, in every process."""

        def compute(share: list[Sequence]) -> Tensor:
            rows = torch.stack(scorer.score(share, budget))
            for _ in range(self.idle_passes(scorer, sequences, budget)):
                scorer.score([NOTHING], budget)
            return rows

        logprob, entropy = self.rows(sequences, compute)
        return logprob, entropy

    def each(
        self,
        scorer: Scorer,
        sequences: list[Sequence],
        budget: int,
        compute: Callable[[list[Sequence]], list[T]],
    ) -> list[T]:
        """What ``compute`` gives for each of the sequences by passes of ``scorer``, in their order, in every process."""
        shares = self._shares(sequences)
        made = compute([sequences[index] for index in shares[self.rank]])
        for _ in range(self.idle_passes(scorer, sequences, budget)):
            compute([NOTHING])
        by_place = {
            index: value
            for share, values in zip(shares, self.gather(made), strict=True)
            for index, value in zip(share, values, strict=True)
        }
        return [by_place[index] for index in range(len(sequences))]

    def rows(self, sequences: list[Sequence], compute: Callable[[list[Sequence]], Tensor]) -> Tensor:
        """[..., N]: what ``compute`` ([..., n] for n response tokens) gives for all sequences, in their order, in every process.

        Each process computes its share only.
        """
        shares = self._shares(sequences)
        parts = self.gather(compute([sequences[index] for index in shares[self.rank]]))
        starts = torch.tensor([0, *(len(sequence.response) for sequence in sequences)]).cumsum(0).tolist()
        whole = parts[0].new_empty(*parts[0].shape[:-1], starts[-1])
        for share, part in zip(shares, parts, strict=True):
            rows = [torch.arange(starts[index], starts[index + 1]) for index in share]
            if rows:
                whole[..., torch.cat(rows)] = part
        return whole

    def _shares(self, sequences: list[Sequence]) -> list[list[int]]:
        return balanced([len(sequence) for sequence in sequences], self.count)


# A run in one process, on the CPU.
ALONE = Processes()
