"""Gradients of log-probs in all weights of a policy: that of a response, and how far each of its tokens points in a direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokencredit.policy.packing import Sequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Distributions(nn.Module):
    """log pi(v | s_t) of every token v before each token of a response, nats, [T, V], float32 or wider.

    Plain operations of torch on whole logits, so that it can be differentiated backwards and forwards; ``Scorer`` is for many tokens.
    """

    def __init__(self, model: PreTrainedModel, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model.eval()
        self.temperature = temperature

    def forward(self, sequence: Sequence) -> Tensor:
        ids = torch.tensor([[*sequence.prompt, *sequence.response]], device=self.model.device)
        kept = len(sequence.response) + 1
        logits = self.model(input_ids=ids, logits_to_keep=kept, use_cache=False).logits[0, :-1]
        return torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature, dim=-1)


def gradient(policy: Distributions, sequence: Sequence, coefficient: Tensor) -> Tensor:
    """[P]: sum_t coefficient_t grad log pi(o_t | s_t) in the P weights of the policy, one after the other; ``coefficient`` [T]."""
    logprob = _taken(policy(sequence), sequence)
    weights = list(policy.parameters())
    parts = torch.autograd.grad(logprob, weights, coefficient.to(logprob), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def along(policy: Distributions, sequence: Sequence, direction: Tensor) -> Tensor:
    """[T]: <grad log pi(o_t | s_t), ``direction`` [P]> of each token of a response, all by one pass of forward differentiation."""
    weights = dict(policy.named_parameters())
    parts = direction.split([weight.numel() for weight in weights.values()])
    moved = {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}

    def logprob(values: dict[str, Tensor]) -> Tensor:
        return _taken(torch.func.functional_call(policy, values, (sequence,)), sequence)

    # The fused kernels of attention have no forward derivative.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        return torch.func.jvp(logprob, (weights,), (moved,))[1]


def inner(one: Tensor, other: Tensor) -> Tensor:
    """<one, other> of two vectors [P], added up in float64: in float32 the cosine of a million numbers and themselves was 1.0005."""
    return (one * other).sum(dtype=torch.float64)


def effective_rank(rows: Tensor) -> float:
    """(sum s)^2 / sum s^2 of the singular values s of ``rows`` [G, P]: 1 where all point one way, G where all are orthogonal and equal.

    Source: arXiv 2606.29238. At least one row must differ from zero.
    """
    wide = rows.double()
    singular = torch.linalg.eigvalsh(wide @ wide.T).clamp(min=0).sqrt()
    return float(singular.sum() ** 2 / singular.square().sum())


def _taken(logprobs: Tensor, sequence: Sequence) -> Tensor:
    """[T, V] -> [T]: those of the response's own tokens."""
    own = torch.tensor(sequence.response, device=logprobs.device)
    return logprobs.gather(1, own[:, None]).squeeze(1)
