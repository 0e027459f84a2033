"""Log-probs and entropies of response tokens under a model: flat rows in, flat rows out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokencredit.policy.head import token_stats


@dataclass(frozen=True)
class Sequence:
    """A prompt and a response, as token ids."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


class Scorer(nn.Module):
    """A causal language model as a function from sequences to the statistics of their response tokens."""

    def __init__(self, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
        """log pi(o_t | s_t) and H(pi(. | s_t)), nats, [sum of response lengths] each, response after response.

        Sequences are padded on the right: under causal attention no token sees what stands after it, so no mask is needed and padding
        changes nothing. The hidden state at a token predicts the next one: rows are read one place before their token.
        """
        device = self.model.get_output_embeddings().weight.device
        longest = max(len(sequence) for sequence in sequences)
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence.prompt + sequence.response)
        row_index = torch.cat([torch.full((len(s.response),), row) for row, s in enumerate(sequences)])
        column = torch.cat([torch.arange(len(s.prompt), len(s)) for s in sequences])
        ids, row_index, column = ids.to(device), row_index.to(device), column.to(device)
        hidden = self.model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        return token_stats(
            hidden[row_index, column - 1],
            self.model.get_output_embeddings().weight,
            ids[row_index, column],
            self.temperature,
        )

    @torch.no_grad()
    def score(self, sequences: list[Sequence], budget: int) -> tuple[Tensor, Tensor]:
        """``forward`` over micro-batches of at most ``budget`` tokens, back in the order given, on the CPU in float32."""
        lengths = [len(sequence.response) for sequence in sequences]
        starts = torch.tensor([0, *lengths]).cumsum(0)
        logprob, entropy = torch.empty(sum(lengths)), torch.empty(sum(lengths))
        for batch in micro_batches(sequences, budget):
            rows = torch.cat([torch.arange(starts[index], starts[index + 1]) for index in batch])
            scored = self([sequences[index] for index in batch])
            logprob[rows], entropy[rows] = (part.float().cpu() for part in scored)
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
