"""Between padded [B, T] batches, as other trainers hold them, and the flat tokens of ``TokenSignals``.

A flat token is a true place of the mask, rows first, from left to right: padding on either side, of any width, is never seen.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tokencredit.credit.signals import PER_BATCH, PER_RESPONSE, VECTORS, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

PER_TOKEN = tuple(
    column.name
    for column in fields(TokenSignals)
    if column.name not in (*PER_RESPONSE, *PER_BATCH, "response", "position")
)


def signals_from_padded(
    mask: Tensor,
    *,
    reward: Tensor,
    advantage: Tensor,
    group: Tensor,
    entropy: Tensor,
    old_logprob: Tensor,
    **columns: Any,
) -> TokenSignals:
    """The signals of a padded batch of B responses with N tokens in all.

    ``mask`` [B, T] bool (or 0 and 1): the response tokens that count; the N rows of the signals are its true places, row by row.
    ``reward``, ``advantage``, ``group`` [B]; ``entropy``, ``old_logprob`` [B, T] in nats, anything where the mask is false.
    ``columns``: the optional columns of ``TokenSignals``: [B, T], ``hidden`` [B, T, H], but ``progress`` (a number) and
    ``entropy_history`` [S] as they are;
    None is no column. ``position`` counts a response's true places from 0: a tool's tokens in the middle are stepped over.

    Raises ``ValueError`` for a column that is not known, or has another shape than the mask.
    """
    mask = mask.bool()
    if mask.dim() != 2:
        raise ValueError(f"signals_from_padded: mask has shape {tuple(mask.shape)}; it must be [B, T].")
    padded = {"entropy": entropy, "old_logprob": old_logprob}
    whole = {"reward": reward, "advantage": advantage, "group": group}
    for name, value in columns.items():
        if name in PER_BATCH:
            whole[name] = value
        elif name not in PER_TOKEN:
            raise ValueError(
                f"signals_from_padded: {name!r} is not a column; allowed: {', '.join((*PER_TOKEN, *PER_BATCH))}."
            )
        elif value is not None:
            padded[name] = value
    for name, value in padded.items():
        if value.shape[: 2 if name in VECTORS else None] != mask.shape:
            raise ValueError(
                f"signals_from_padded: {name} has shape {tuple(value.shape)}; the mask has {tuple(mask.shape)}."
            )
    row, _ = mask.nonzero(as_tuple=True)
    position = (mask.long().cumsum(1) - 1)[mask]
    return TokenSignals(
        response=row, position=position, **whole, **{name: value.detach()[mask] for name, value in padded.items()}
    )


def to_padded(values: Tensor, mask: Tensor, fill: float | bool = 0.0) -> Tensor:
    """[N] values of the mask's true places -> [B, T] in the dtype of ``values``; ``fill`` where the mask is false.

    The inverse of ``padded[mask]``; a gradient passes. Raises ``ValueError`` where N is not the number of true places.
    """
    mask = mask.bool()
    if values.shape != (int(mask.sum()),):
        raise ValueError(
            f"to_padded: {tuple(values.shape)} values for a mask with {int(mask.sum())} true places; it must be one for each."
        )
    return values.new_full(tuple(mask.shape), fill).masked_scatter(mask, values)
