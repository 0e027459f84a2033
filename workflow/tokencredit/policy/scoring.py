"""Log-probs and entropies of response tokens under a model: flat rows in, flat rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokencredit.policy.head import token_stats


@dataclass(frozen=True)
class Sequence:
    """A prompt and a response, as token ids."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("a Sequence needs a prompt of at least one token: nothing predicts a first token.")

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


class Padded:
    """Sequences as one rectangle of token ids, and the place of each of their n response tokens, response after response.

    Sequences are padded on the right: under causal attention no token sees what stands after it, so no mask is needed and padding
    changes nothing.
    """

    def __init__(self, sequences: list[Sequence], device: torch.device | str) -> None:
        ids = torch.zeros(len(sequences), max(len(sequence) for sequence in sequences), dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence.prompt + sequence.response)
        rows = torch.cat([torch.full((len(s.response),), row) for row, s in enumerate(sequences)])
        columns = torch.cat([torch.arange(len(s.prompt), len(s)) for s in sequences])
        self.ids = ids.to(device)  # [B, T]
        self._rows, self._columns = rows.to(device), columns.to(device)

    @property
    def tokens(self) -> Tensor:
        """[n] int64: the response tokens."""
        return self.ids[self._rows, self._columns]

    def predicting(self, states: Tensor) -> Tensor:
        """[B, T, ...] -> [n, ...]: the states that predict the response tokens, each one place before its token."""
        return states[self._rows, self._columns - 1]


class Scorer(nn.Module):
    """A causal language model as a function from sequences to the statistics of their response tokens."""

    def __init__(self, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
        """log pi(o_t | s_t) and H(pi(. | s_t)), nats, [sum of response lengths] each, response after response."""
        weight = self.model.get_output_embeddings().weight
        batch = Padded(sequences, weight.device)
        hidden = self.model.get_decoder()(input_ids=batch.ids, use_cache=False).last_hidden_state
        return token_stats(batch.predicting(hidden), weight, batch.tokens, self.temperature)

    @torch.no_grad()
    def score(self, sequences: list[Sequence], budget: int) -> tuple[Tensor, Tensor]:
        """``forward`` over micro-batches of at most ``budget`` tokens, back in the order given, on the CPU in float32."""
        logprob, entropy = empty_rows(sequences), empty_rows(sequences)
        for members, rows in micro_batch_rows(sequences, budget):
            logprob[rows], entropy[rows] = (part.float().cpu() for part in self(members))
        return logprob, entropy


def micro_batches(sequences: list[Sequence], budget: int) -> Iterator[list[int]]:
    """Indices of sequences of similar length, at most ``budget`` tokens with padding in each batch (a longer sequence stands alone)."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda index: (-len(sequences[index]), index)):
        if batch and len(sequences[batch[0]]) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def micro_batch_rows(sequences: list[Sequence], budget: int) -> Iterator[tuple[list[Sequence], Tensor]]:
    """The sequences of each of ``micro_batches``, and the rows (int64) of their response tokens among those of all ``sequences``."""
    starts = torch.tensor([0, *(len(sequence.response) for sequence in sequences)]).cumsum(0)
    for batch in micro_batches(sequences, budget):
        rows = torch.cat([torch.arange(starts[index], starts[index + 1]) for index in batch])
        yield [sequences[index] for index in batch], rows


def empty_rows(sequences: list[Sequence]) -> Tensor:
    """[sum of response lengths] float32 on the CPU, to be filled."""
    return torch.empty(sum(len(sequence.response) for sequence in sequences))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """``model`` in eval mode; its training mode is restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
