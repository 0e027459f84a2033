"""Log-probs and entropies of response tokens under a model: flat rows in, flat rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tokencredit.policy.head import token_stats
from tokencredit.policy.logits import Head, head_of
from tokencredit.policy.packing import Layout, Padded, Sequence, layout_of, micro_batches


@dataclass(frozen=True)
class Predicting:
    """The states ``hidden`` [n, H] of a pass that predict its n response tokens ``target`` [n], and the head that reads them."""

    hidden: Tensor
    target: Tensor
    temperature: float
    module: nn.Module
    head: Head

    @property
    def vocabulary(self) -> int:
        return len(self.module.weight)

    def part(self, rows: slice) -> Predicting:
        return replace(self, hidden=self.hidden[rows], target=self.target[rows])

    def logits(self, rows: slice) -> Tensor:
        """[rows, V] logits, float32 or wider, before the temperature."""
        with torch.autocast(self.hidden.device.type, enabled=False):
            states = self.hidden[rows].to(self._wide)
            bias = getattr(self.module, "bias", None)
            made = states @ self.module.weight.to(self._wide).T
            return self._finished(made if bias is None else made + bias.to(self._wide))

    def logits_of(self, places: Tensor, tokens: Tensor) -> Tensor:
        """[m] the logits of ``tokens`` [m] at ``places`` [m], float32 or wider, before the temperature."""
        with torch.autocast(self.hidden.device.type, enabled=False):
            made = (self.hidden[places].to(self._wide) * self.module.weight[tokens].to(self._wide)).sum(-1)
            bias = getattr(self.module, "bias", None)
            return self._finished(made if bias is None else made + bias[tokens].to(self._wide))

    @property
    def _wide(self) -> torch.dtype:
        return torch.promote_types(torch.promote_types(self.hidden.dtype, self.module.weight.dtype), torch.float32)

    def _finished(self, made: Tensor) -> Tensor:
        made = self.head.scale * made
        return made if self.head.cap is None else self.head.cap * torch.tanh(made / self.head.cap)


class Scorer(nn.Module):
    """A causal language model as a function from sequences to the statistics of their response tokens.

    ``UserError`` where the way from the model's last state to its logits is not known.
    """

    def __init__(self, model: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self._head = head_of(model)

    def forward(self, sequences: list[Sequence], also: Callable[[Predicting], Any] | None = None) -> tuple[Any, ...]:
        """log pi(o_t | s_t) and H(pi(. | s_t)), nats, [sum of response lengths] each, response after response.

        ``also``: what else is to be read off the states of this very pass; its answer is the third.
        """
        module = self.model.get_output_embeddings()
        batch = layout_of(self.model)(sequences, module.weight.device)
        hidden = self.model.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state
        states = batch.predicting(hidden)
        stats = token_stats(
            states,
            module.weight,
            batch.tokens,
            self.temperature,
            bias=getattr(module, "bias", None),
            scale=self._head.scale,
            cap=self._head.cap,
        )
        if also is None:
            return stats
        return *stats, also(Predicting(states, batch.tokens, self.temperature, module, self._head))

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
