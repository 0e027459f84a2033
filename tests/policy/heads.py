"""Inputs of a head, and the head by its definition: from all logits at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def inputs(
    rows: int = 7, width: int = 5, vocabulary: int = 11, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, width, generator=random, dtype=torch.float64).to(dtype)
    weight = torch.randn(vocabulary, width, generator=random, dtype=torch.float64).to(dtype)
    return hidden, weight, torch.randint(0, vocabulary, (rows,), generator=random)


def plain(hidden: Tensor, weight: Tensor, target: Tensor, temperature: float | Tensor = 1.0) -> tuple[Tensor, Tensor]:
    """Both by their definitions, from all logits at once."""
    logits = hidden @ weight.T / torch.as_tensor(temperature, dtype=hidden.dtype).reshape(-1, 1)
    logprobs = logits.log_softmax(-1)
    terms = torch.where(logits == -torch.inf, 0.0, logprobs.exp() * logprobs)
    return logprobs.gather(1, target[:, None]).squeeze(1), -terms.sum(1)


def with_gradients(
    stats: Callable[..., tuple[Tensor, Tensor]],
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    temperature: float | Tensor = 1.0,
    by_entropy: float = 0.7,
) -> list[Tensor]:
    """Log-probs, entropies and the gradients by hidden and weight of a sum with another factor for every token."""
    hidden, weight = hidden.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    logprob, entropy = stats(hidden, weight, target, temperature)
    factor = torch.linspace(-1, 2, len(target), dtype=logprob.dtype)
    (factor * logprob + by_entropy * factor.flip(0) * entropy).sum().backward()
    return [logprob.detach(), entropy.detach(), hidden.grad, weight.grad]


def assert_same(ours: list[Tensor], others: list[Tensor], tolerance: float) -> None:
    for one, other in zip(ours, others, strict=True):
        torch.testing.assert_close(one.double(), other.double(), atol=tolerance, rtol=tolerance)


def other_head(
    hidden: Tensor, weight: Tensor, target: Tensor, temperature: float | Tensor, bias: Tensor, scale: float, cap: float
) -> tuple[Tensor, Tensor]:
    """A head with all that heads have, by its definition."""
    logits = scale * (hidden @ weight.T + bias)
    logprobs = (
        cap * torch.tanh(logits / cap) / torch.as_tensor(temperature, dtype=hidden.dtype).reshape(-1, 1)
    ).log_softmax(-1)
    return logprobs.gather(1, target[:, None]).squeeze(1), -(logprobs.exp() * logprobs).sum(1)
