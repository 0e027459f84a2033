"""The states that predict response tokens, and how far what they predict is from what a group of responses predicts at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokencredit.policy.logits import head_of
from tokencredit.policy.packing import Sequence, layout_of
from tokencredit.policy.portions import portions
from tokencredit.policy.scoring import evaluating, micro_batch_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Probabilities of one tile of `uniqueness`, tokens times vocabulary: five such arrays are held at once, 64 MiB each in float32. The
# tokens of one position are never parted.
_TILE_NUMBERS = 2**24


@torch.no_grad()
def hidden_states(model: PreTrainedModel, sequences: list[Sequence], budget: int) -> Tensor:
    """[N, H] on the CPU, float32 or wider: for each response token the last state, after the final norm, that the head reads to predict it.

    In eval mode and in the weights' own precision, over micro-batches of at most ``budget`` tokens, in the order given.
    """
    width = model.get_output_embeddings().weight.shape[1]
    dtype = torch.promote_types(model.dtype, torch.float32)
    states = torch.empty(sum(len(sequence.response) for sequence in sequences), width, dtype=dtype)
    layout = layout_of(model)
    with evaluating(model):
        for members, rows in micro_batch_rows(sequences, budget, layout):
            batch = layout(members, model.device)
            found = model.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state
            states[rows] = batch.predicting(found).to(dtype).cpu()
    return states


@torch.no_grad()
def uniqueness(model: PreTrainedModel, group: list[Sequence], budget: int, temperature: float = 1.0) -> Tensor:
    """[N] float32 on the CPU, nats in [0, log 2]: JS(p_it, mean of p_jt over the responses j of the ``group`` that have a t-th token).

    p_it is the policy's whole distribution at ``temperature`` before token t of response i, and JS(p, q) = 1/2 KL(p, m) + 1/2 KL(q, m)
    with m = (p + q) / 2 (arXiv 2606.19771, Eq. 9 and 24-26). Where one response alone is that long its value is 0.
    """
    head, module = head_of(model), model.get_output_embeddings()
    states = hidden_states(model, group, budget)
    position = torch.cat([torch.arange(len(sequence.response)) for sequence in group])
    counts = torch.bincount(position)
    values = torch.empty(len(position))
    by_position = position.argsort(stable=True)
    tiles = portions(counts.tolist(), _TILE_NUMBERS // len(module.weight))
    for rows in by_position.split([int(counts[positions].sum()) for positions in tiles]):
        place = position[rows].to(module.weight.device)
        own = states[rows].to(module.weight)
        p = (head.logits(own, module).to(states.dtype) / temperature).softmax(1)
        place = place - place.min()
        mean = p.new_zeros(int(place.max()) + 1, p.shape[1]).index_add_(0, place, p)
        mean /= torch.bincount(place)[:, None]
        values[rows] = _divergence(p, mean[place]).float().cpu()
    return values


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """[n]: JS(p, q) of rows of probabilities [n, V], in nats."""
    middle = ((p + q) / 2).clamp_(min=torch.finfo(p.dtype).tiny)
    return sum(torch.special.xlogy(each, each / middle).sum(1) for each in (p, q)).div_(2).clamp_(min=0)
