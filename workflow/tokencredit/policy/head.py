"""The head: log-prob and entropy of given tokens. No array of [tokens, vocabulary] is made, forward or backward."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tokencredit.policy.portions import slices

# The work is cut into tiles of tokens x vocabulary. No array of a tile (its logits, their exponentials, the weight's rows, their gradient)
# has more numbers than this, and at most six are held at once (nine with a soft cap): 2**22 are 16 MiB in float32. On a CPU the time is the
# same from 2**20 to 2**23 (benchmarks/head.py).
_TILE_NUMBERS = 2**22
_TILE_TOKENS = 1024


@overload
def token_stats(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
    with_gap: Literal[False] = False,
) -> tuple[Tensor, Tensor]: ...


@overload
def token_stats(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
    with_gap: Literal[True],
) -> tuple[Tensor, Tensor, Tensor]: ...


def token_stats(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    cap: float | None = None,
    with_gap: bool = False,
) -> tuple[Tensor, ...]:
    """log pi(target) and H(pi) = -sum_v pi_v log pi_v, both in nats, of pi = softmax(z / temperature).

    z = scale (hidden weight^T + bias), and of a head with a soft ``cap`` cap tanh(z / cap) instead.

    ``hidden`` [N, H], ``weight`` [V, H], ``bias`` [V], ``target`` [N] int64, ``temperature`` a number or [N] -> two tensors [N], float32
    (float64 where an input is), whatever the inputs' dtype and under autocast too; there a GPU rounds the factors of products to TF32,
    which keeps more of them than the bfloat16 of the layers below. ``with_gap``: a third, log pi of the likeliest token minus that of the
    second, without a gradient; inf where there is no second.

    Log-prob and entropy are once differentiable in ``hidden``, ``weight``, ``bias`` and ``temperature``. The backward pass computes the
    logits again tile by tile, leaves out tokens whose gradient is 0, and computes nothing for an input that needs no gradient. A logit of
    -inf is a token of probability 0, which adds nothing to the entropy or to a gradient; a row of nothing else gives NaN.

    Raises ``ValueError`` for shapes that do not fit and for a target outside the vocabulary.
    """
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"token_stats needs hidden [N, H] and weight [V, H]; got {tuple(hidden.shape)} and {tuple(weight.shape)}."
        )
    if target.shape != hidden.shape[:1]:
        raise ValueError(f"token_stats needs one target per row: {tuple(target.shape)} for {hidden.shape[0]} rows.")
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < len(weight):
        raise ValueError(
            f"token_stats needs targets from 0 to {len(weight) - 1}; got {int(target.min())} to {int(target.max())}."
        )
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)
    temperatures = torch.as_tensor(temperature, dtype=dtype, device=hidden.device).expand(len(hidden))
    states = (
        hidden.to(dtype) / temperatures[:, None] if scale == 1 else hidden.to(dtype) * (scale / temperatures)[:, None]
    )
    share = None if bias is None else scale / temperatures
    bound = None if cap is None else cap / temperatures
    stats = _TokenStats.apply(states, weight, target, with_gap, bias, share, bound)
    return stats if with_gap else stats[:2]


class _TokenStats(torch.autograd.Function):
    """``token_stats`` of states that have the dtype of the results and are divided by the temperature already.

    ``share`` [N]: what a row's ``bias`` is multiplied by; ``bound`` [N]: the row's soft cap, divided by the temperature too.

    With p = pi_i, and g and e the gradients by log pi_i(target_i) and H_i, the gradient by the logit of token v in row i is
    g_i (1[v = target_i] - p_v) - e_i p_v (log p_v + H_i); a product with it gives each of the two gradients.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        target: Tensor,
        with_gap: bool,
        bias: Tensor | None,
        share: Tensor | None,
        bound: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        lowest = torch.finfo(states.dtype).min
        top = states.new_full((len(states),), lowest)
        total, moment, chosen = states.new_zeros(3, len(states))
        largest = states.new_full((len(states), 2), -torch.inf) if with_gap else None
        vocabulary, tokens = _tiles(states, weight)
        ctx.low_precision = torch.is_autocast_enabled(states.device.type)
        with _products(states.device.type, ctx.low_precision):
            for columns in vocabulary:
                part = weight[columns].to(states.dtype)
                for rows in tokens:
                    tile = _logits(states, part, bias, share, rows, columns)
                    if bound is not None:
                        tile.div_(bound[rows, None]).tanh_().mul_(bound[rows, None])
                    place, inside = _place(target[rows], columns)
                    chosen[rows] += torch.where(inside, tile.gather(1, place).squeeze(1), 0)
                    if largest is not None:
                        seen = torch.cat([largest[rows], tile.topk(min(2, len(part))).values], 1)
                        largest[rows] = seen.topk(2).values
                    exponentials = _fold(tile, top[rows], total[rows], moment[rows])
        log_total = total.masked_fill_(top == lowest, torch.nan).log()
        logprob, entropy = (chosen - top) - log_total, log_total - moment / total
        gap = None if largest is None else largest[:, 0] - largest[:, 1]
        # A single tile is no larger than what backward holds anyway: it is kept, which saves one of three products.
        kept = exponentials if len(vocabulary) == len(tokens) == 1 and bound is None else None
        ctx.save_for_backward(states, weight, target, top, total, entropy, kept, bias, share, bound)
        if gap is not None:
            ctx.mark_non_differentiable(gap)
        return logprob, entropy, gap

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, by_logprob: Tensor, by_entropy: Tensor, _: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None, Tensor | None, Tensor | None, Tensor | None]:
        states, weight, target, top, total, entropy, kept, bias, share, bound = ctx.saved_tensors
        shape, moves = states.shape, (by_logprob != 0) | (by_entropy != 0)
        live = None if moves.all() else moves.nonzero().squeeze(1)
        if live is not None:
            states, target, top, total, entropy = (value[live] for value in (states, target, top, total, entropy))
            by_logprob, by_entropy = by_logprob[live], by_entropy[live]
            kept, share, bound = (None if value is None else value[live] for value in (kept, share, bound))
        entropy_counts, masked = bool((by_entropy != 0).any()), bool(weight.amin() == -torch.inf)
        by_states = torch.zeros_like(states) if ctx.needs_input_grad[0] else None
        by_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        by_bias = torch.zeros_like(bias, dtype=states.dtype) if ctx.needs_input_grad[4] else None
        by_share = torch.zeros_like(share) if ctx.needs_input_grad[5] else None
        by_bound = torch.zeros_like(bound) if ctx.needs_input_grad[6] else None
        vocabulary, tokens = _tiles(states, weight)
        with _products(states.device.type, ctx.low_precision):
            for columns in vocabulary:
                part = weight[columns].to(states.dtype)
                # A row of -inf has no probability, and no share in the gradient: 0 * -inf is 0.
                finite = part.nan_to_num(torch.nan, torch.inf, 0.0) if masked else part
                # Tokens are summed within one tile of the vocabulary: in float32, without a float32 copy of the whole gradient.
                by_part = None if by_weight is None else by_weight[columns].to(states.dtype)
                for rows in tokens:
                    squashed = None
                    if kept is None:
                        tile = _logits(states, part, bias, share, rows, columns)
                        if bound is not None:
                            ratio = tile.div_(bound[rows, None])
                            squashed = ratio.tanh()
                            tile = squashed * bound[rows, None]
                        p = _below(tile, top[rows]).exp_().div_(total[rows, None])
                    else:
                        p = kept / total[rows, None]
                    factor = -by_logprob[rows, None]
                    if entropy_counts:
                        surplus = p.log().clamp_(min=_floor(p.dtype)).add_(entropy[rows, None])
                        factor = torch.addcmul(factor, surplus, by_entropy[rows, None], value=-1)
                    place, inside = _place(target[rows], columns)
                    at_target = torch.where(inside, by_logprob[rows], 0)
                    by_tile = p.mul_(factor).scatter_add_(1, place, at_target[:, None])
                    if squashed is not None:
                        slope = 1 - squashed.square()
                        if by_bound is not None:
                            by_bound[rows] += (by_tile * (squashed - ratio * slope)).sum(1)
                        by_tile.mul_(slope)
                    if by_bias is not None:
                        by_bias[columns].addmv_(by_tile.T, share[rows])
                    if by_share is not None:
                        by_share[rows] += by_tile @ bias[columns].to(by_tile.dtype)
                    if by_states is not None:
                        by_states[rows].addmm_(by_tile, finite)
                    if by_part is not None:
                        by_part.addmm_(by_tile.T, states[rows])
                if by_part is not None and by_part.dtype != weight.dtype:
                    by_weight[columns] = by_part
        if live is not None:
            by_states, by_share, by_bound = (
                None if value is None else value.new_zeros(shape[: value.ndim]).index_copy_(0, live, value)
                for value in (by_states, by_share, by_bound)
            )
        by_bias = None if by_bias is None else by_bias.to(bias.dtype)
        return by_states, by_weight, None, None, by_bias, by_share, by_bound


@contextmanager
def _products(device: str, low_precision: bool) -> Iterator[None]:
    """Products as they are written, in the dtype of their factors; under ``low_precision`` on a GPU by its tensor cores, in TF32."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    with torch.autocast(device, enabled=False):
        if low_precision and device == "cuda":
            matmul.fp32_precision = "tf32"
        try:
            yield
        finally:
            matmul.fp32_precision = before


def _logits(
    states: Tensor, part: Tensor, bias: Tensor | None, share: Tensor | None, rows: slice, columns: slice
) -> Tensor:
    """[n, v]: the logits of a tile, before a soft cap; ``part`` are the weight's rows of it."""
    tile = states[rows] @ part.T
    return tile if bias is None else tile.addcmul_(share[rows, None], bias[columns].to(tile.dtype))


def _fold(tile: Tensor, top: Tensor, total: Tensor, moment: Tensor) -> Tensor:
    """Add logits z [n, v] to their rows' [n] top = max z, total = sum exp(z - top) and moment = sum (z - top) exp(z - top).

    The entropy is log total - moment / total. Measured from the largest logit, log total >= 0 >= moment: nothing cancels, however large the
    logits, and the entropy is never negative. Returns exp(z - top), [n, v]; ``tile`` is overwritten.
    """
    new_top = torch.maximum(top, tile.amax(1))
    shift = (top - new_top).clamp_(min=_floor(top.dtype))
    below = _below(tile, new_top)
    exponentials, scale = below.exp(), shift.exp()
    moment.add_(shift * total).mul_(scale)
    total.mul_(scale).add_(exponentials.sum(1))
    moment.add_(below.mul_(exponentials).sum(1))
    top.copy_(new_top)
    return exponentials


def _below(tile: Tensor, top: Tensor) -> Tensor:
    return tile.sub_(top[:, None]).clamp_(min=_floor(tile.dtype))


def _floor(dtype: torch.dtype) -> float:
    """The log of the smallest normal number, which stands for every lower one: -inf exp(-inf) is not a number, and exp is slow below."""
    return math.log(torch.finfo(dtype).tiny)


def _place(target: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
    """[n, 1] the column of each row's target in a tile, and [n] whether it is there; where it is not, the column means nothing."""
    place = target - columns.start
    width = columns.stop - columns.start
    return place.clamp(0, width - 1)[:, None], (place >= 0) & (place < width)


def _tiles(states: Tensor, weight: Tensor) -> tuple[list[slice], list[slice]]:
    """The tiles of the vocabulary and those of the tokens; a small vocabulary is one tile with as many tokens as the budget holds."""
    tokens = min(len(states), max(_TILE_TOKENS, _TILE_NUMBERS // max(len(weight), states.shape[1])))
    columns = _TILE_NUMBERS // max(tokens, states.shape[1], 1)
    return slices(len(weight), max(columns, 1)), slices(len(states), max(tokens, 1))
