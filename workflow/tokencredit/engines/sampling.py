"""Drawing a token from logits by inverse CDF with given noise."""

from __future__ import annotations

import torch
from torch import Tensor

from tokencredit.errors import UserError


def sample_tokens(logits: Tensor, noise: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """``logits`` [R, V], ``noise`` [R] uniform in [0, 1) -> token ids [R] and their log-probs [R], float32, nats.

    Tokens follow softmax(logits / temperature), restricted for ``top_p`` < 1 to the smallest set of most probable tokens whose mass
    reaches ``top_p``. The log-prob is the one at this temperature *before* that restriction: what a policy ratio needs. ``UserError``
    where a row has no distribution, as after training has diverged.
    """
    logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
    probs = logprobs.exp().double()
    if top_p < 1:
        probs = nucleus(probs, top_p)
    cumulative = probs.cumsum(-1)
    total = cumulative[:, -1:]
    if not bool(total.isfinite().all()):
        raise UserError(
            "the model's logits are not finite while sampling: its weights are broken, or training has diverged."
        )
    # The target lies strictly below the total, so that the first place above it has mass of its own.
    target = torch.minimum(noise.double()[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulative, target, right=True)
    return tokens.squeeze(-1), logprobs.gather(-1, tokens).squeeze(-1)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """``probs`` [R, V] with zeros outside each row's smallest set of most probable tokens of mass ``top_p``; not renormalised."""
    ordered, index = probs.sort(dim=-1, descending=True, stable=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    return probs.masked_fill(torch.zeros_like(outside).scatter(-1, index, outside), 0.0)
