"""SHEAR: tokens count where the states of a stretch of the response are far from those of the other outcome's (arXiv 2604.23318)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tokencredit.credit.parameters import Count, Positive
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_rows
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

# Costs of transport in one tile, pairs of spans times pairs of their tokens: three such arrays are held at once.
_TILE_NUMBERS = 2**22
# Two states are one where their squared distance is this little of their squared norms: what is less is rounding.
_SAME = 1e-12


@method(
    "shear",
    source="arXiv 2604.23318, Eq. 2-4, Algorithm 1",
    equation=r"\hat A_{i,t} = A_i\,\frac1{\bar n} \max_{k : t \in S_{i,k}}\ \min_{j \in O_i, l} W_\epsilon(P_{i,k}, P_{j,l}),\quad "
    r"W_\epsilon(P, Q) = \min_\gamma \int \lVert x - y \rVert_2\, d\gamma + "
    r"\epsilon\,\bar n \operatorname{KL}(\gamma \,\Vert\, P \otimes Q)",
    columns=("hidden",),
    slips="epsilon and the number of Sinkhorn's iterations are not printed: they are chosen here, epsilon as a share of the states' mean "
    "norm. The paper's spans have 100 tokens, one every 25, in responses of up to 3,000; the defaults are for the embedded models' "
    "responses of some tens. The last span is the first that reaches the end, and no shorter ones follow it. h is the state that predicts "
    "the token, so what the token itself adds is seen one place later. The weights' mean is not one and differs between responses, as "
    "published: see the control `norm-matched`. The work grows with the square of a group's spans: with the paper's, a group of eight "
    "responses of 1,000 tokens takes 150 seconds of a CPU core.",
)
def shear(
    signals: TokenSignals, window: Count = 8, stride: Count = 4, epsilon: Positive = 0.05, iterations: Count = 30
) -> TokenCredit:
    """A_i times the largest distance of a span that holds the token to the nearest span O_i of the group's responses of the other outcome.

    Spans of ``window`` tokens begin every ``stride`` tokens; P is the empirical distribution of a span's last states, n the mean norm of
    the group's states, and the distance Sinkhorn's, entropic optimal transport after ``iterations``. Where all of a group are right, or all
    wrong, the weight is 1.
    """
    weight = signals.token_advantage.double() * 0 + 1
    for rows in segment_rows(signals.token_group):
        right = signals.right[rows]
        if bool(right.any()) and not bool(right.all()):
            sides = rows[right], rows[~right]
            states = [signals.hidden[side].double() for side in sides]
            spans = [_spans(signals.response[side].tolist(), window, stride) for side in sides]
            norms = [side.square().sum(1).sqrt() for side in states]
            scale = (norms[0].sum() + norms[1].sum()).div(len(rows)).clamp(min=1e-300)
            cost = _distances(states[0] / scale, states[1] / scale)
            apart = _transport(cost, spans, epsilon, iterations)
            for side, own, nearest in zip(sides, spans, (apart.amin(1), apart.amin(0)), strict=True):
                found = weight[side] * 0
                for (begin, end), distance in zip(own, nearest, strict=True):
                    found[begin:end] = found[begin:end].clamp(min=distance)
                weight[side] = found
    advantage = signals.token_advantage
    return TokenCredit((advantage * weight).to(advantage.dtype), signals.every_token)


def _spans(response: list[int], window: int, stride: int) -> list[tuple[int, int]]:
    """First row and the row after the last of each span; ``response``: that of each row, those of one response together."""
    spans, first = [], 0
    for row in range(1, len(response) + 1):
        if row == len(response) or response[row] != response[first]:
            begin = first
            while begin + window < row:
                spans.append((begin, begin + window))
                begin += stride
            spans.append((begin, row))
            first = row
    return spans


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """[n, H], [m, H] -> [n, m]: Euclidean distances, exactly 0 of equal states."""
    norms = x.square().sum(1)[:, None] + y.square().sum(1)
    squared = norms - 2 * x @ y.T
    return squared.masked_fill(squared <= _SAME * norms, 0.0).sqrt()


def _transport(cost: Tensor, spans: list[list[tuple[int, int]]], epsilon: float, iterations: int) -> Tensor:
    """[K, L]: the entropic cost of transport between K spans of the rows and L spans of the columns of ``cost`` [n, m]."""
    (rows, own), (columns, other) = (_padded(side, cost) for side in spans)
    apart = cost.new_empty(len(rows), len(columns))
    at_once = max(1, _TILE_NUMBERS // (columns.numel() * rows.shape[1]))
    for first in range(0, len(rows), at_once):
        some = slice(first, first + at_once)
        tile = cost[rows[some, None, :, None], columns[None, :, None, :]]
        apart[some] = _sinkhorn(tile, own[some, None], other[None], epsilon, iterations)
    return apart


def _padded(spans: list[tuple[int, int]], like: Tensor) -> tuple[Tensor, Tensor]:
    """[K, w] int64: the rows of each span, its last one again where others are longer; [K, w]: log of their weights, 1 / size."""
    begin, end = like.new_tensor(spans).long().T[:, :, None]
    place = begin + begin.new_ones(int((end - begin).max())).cumsum(0) - 1
    weight = (end - begin).to(like.dtype).log().neg().expand(place.shape)
    return place.minimum(end - 1), weight.masked_fill(place >= end, -math.inf)


def _sinkhorn(cost: Tensor, own: Tensor, other: Tensor, epsilon: float, iterations: int) -> Tensor:
    """[k, L, n, m] costs, log weights [k, 1, n] and [1, L, m] -> [k, L]: the dual value of Sinkhorn's potentials, a lower bound."""
    g = other.exp() * 0
    for _ in range(iterations):
        f = -epsilon * ((g[:, :, None, :] - cost) / epsilon + other[:, :, None, :]).logsumexp(3)
        g = -epsilon * ((f[:, :, :, None] - cost) / epsilon + own[:, :, :, None]).logsumexp(2)
    return (own.exp() * f).sum(2) + (other.exp() * g).sum(2)
