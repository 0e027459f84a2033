"""The head: log-prob and entropy of given tokens, without an array of [tokens, vocabulary] that outlives a chunk."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# A chunk's logits are held three times over (logits, log-softmax, softmax); 2**25 numbers are 128 MiB each in fp32.
_CHUNK_NUMBERS = 2**25


def token_stats(
    hidden: Tensor, weight: Tensor, target: Tensor, temperature: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """log pi(target) and H(pi) = -sum_v pi_v log pi_v, both in nats, of softmax(hidden weight^T / temperature).

    ``hidden`` [N, H], ``weight`` [V, H], ``target`` [N] int64, ``temperature`` a number or [N] -> two tensors [N], float32 (float64 from
    float64 inputs) whatever the weights' dtype. Both are differentiable in ``hidden`` and ``weight``; the backward pass computes each
    chunk's logits again instead of keeping them.
    """
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"token_stats needs hidden [N, H] and weight [V, H]; got {tuple(hidden.shape)} and {tuple(weight.shape)}."
        )
    if target.shape != hidden.shape[:1]:
        raise ValueError(f"token_stats needs one target per row: {tuple(target.shape)} for {hidden.shape[0]} rows.")
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    temperatures = torch.as_tensor(temperature, dtype=dtype, device=hidden.device).expand(len(hidden))
    weight = weight.to(dtype)
    size = max(1, _CHUNK_NUMBERS // weight.shape[0])
    if len(hidden) <= size:
        return _chunk_stats(hidden, weight, target, temperatures)
    chunks = zip(hidden.split(size), target.split(size), temperatures.split(size), strict=True)
    parts = [
        checkpoint(_chunk_stats, rows, weight, tokens, warmth, use_reentrant=False) for rows, tokens, warmth in chunks
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _chunk_stats(hidden: Tensor, weight: Tensor, target: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    logprobs = torch.log_softmax((hidden.to(weight.dtype) @ weight.T) / temperature[:, None], dim=-1)
    return logprobs.gather(-1, target[:, None]).squeeze(-1), -(logprobs.exp() * logprobs).sum(-1)
