"""Log-probs and entropies of response tokens under a model: flat rows in, flat rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tokencredit.policy.head import token_stats
from tokencredit.policy.logits import head_of
from tokencredit.policy.packing import Layout, Padded, Sequence, layout_of, micro_batches


class Scorer(nn.Module):
    """A causal language model as a function from sequences to the statistics of their response tokens.

    ``UserError`` where the way from the model's last state to its logits is not known.
    """

    def __init__(self, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self._head = head_of(model)

    def forward(self, sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
        """log pi(o_t | s_t) and H(pi(. | s_t)), nats, [sum of response lengths] each, response after response."""
        module = self.model.get_output_embeddings()
        batch = layout_of(self.model)(sequences, module.weight.device)
        hidden = self.model.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state
        return token_stats(
            batch.predicting(hidden),
            module.weight,
            batch.tokens,
            self.temperature,
            bias=getattr(module, "bias", None),
            scale=self._head.scale,
            cap=self._head.cap,
        )

    @torch.no_grad()
    def score(self, sequences: list[Sequence], budget: int) -> tuple[Tensor, Tensor]:
        """``forward`` over micro-batches of at most ``budget`` tokens, back in the order given, on the CPU in float32."""
        logprob, entropy = empty_rows(sequences), empty_rows(sequences)
        for members, rows in micro_batch_rows(sequences, budget, layout_of(self.model)):
            logprob[rows], entropy[rows] = (part.float().cpu() for part in self(members))
        return logprob, entropy


def micro_batch_rows(
    sequences: list[Sequence], budget: int, layout: type[Layout] = Padded
) -> Iterator[tuple[list[Sequence], Tensor]]:
    """The sequences of each of ``micro_batches``, and the rows (int64) of their response tokens among those of all ``sequences``."""
    starts = torch.tensor([0, *(len(sequence.response) for sequence in sequences)]).cumsum(0)
    for batch in micro_batches(sequences, budget, layout):
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
