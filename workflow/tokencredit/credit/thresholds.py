"""The Four Quadrant Decomposition: the polarity of the reward x the entropy against a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from tokencredit.credit.segments import segment_mean, segment_quantile, segment_zscore
from tokencredit.credit.signals import TokenSignals
from tokencredit.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

QUADRANTS = ("phr", "plr", "nhr", "nlr")
Threshold = Literal["group-mean", "group-p25", "group-p50", "group-p75", "batch-mean", "k-means"]
THRESHOLDS: tuple[Threshold, ...] = get_args(Threshold)


def quadrant_of(signals: TokenSignals, threshold: str = "group-mean") -> Tensor:
    """[N] int64: 0 PHR, 1 PLR, 2 NHR, 3 NLR: polarity of the reward x entropy at or above the threshold.

    The Four Quadrant Decomposition of arXiv 2604.11056.

    ``threshold``: "group-mean", the paper's: the mean over all response tokens of the prompt's group; "group-p25", "group-p50",
    "group-p75": a percentile of the same tokens; "batch-mean": over the optimiser batch; "k-means": four clusters of the (polarity,
    standardised entropy) plane in place of a threshold, found by Lloyd's algorithm from the batch-mean quadrants, whose names they keep.
    """
    entropy = signals.entropy.double()
    if threshold == "group-mean":
        border = signals.group_mean(entropy)
    elif threshold in ("group-p25", "group-p50", "group-p75"):
        border = segment_quantile(entropy, signals.token_group, int(threshold[-2:]) / 100)
    elif threshold in ("batch-mean", "k-means"):
        border = segment_mean(entropy, signals.batch)
    else:
        raise UserError(f"threshold = {threshold!r} is not known; allowed: {', '.join(THRESHOLDS)}.")
    # The mean of equal values may lie a rounding error above them: they are not below it.
    low = entropy < border - 1e-12 * (1 + border.abs())
    quadrant = 2 * (~signals.right).long() + low.long()
    return _clusters(signals, quadrant) if threshold == "k-means" else quadrant


def _clusters(signals: TokenSignals, quadrant: Tensor, rounds: int = 100) -> Tensor:
    """[N] int64: the nearest of four centres, each the mean of its own points; a quadrant without tokens has none."""
    polarity = 2.0 * signals.right.double() - 1.0
    entropy = segment_zscore(signals.entropy.double(), signals.batch)
    for _ in range(rounds):
        count, sum_polarity, sum_entropy = (
            polarity.new_zeros(len(QUADRANTS)).index_add_(0, quadrant, values)
            for values in (signals.every_token.double(), polarity, entropy)
        )
        nearest, least = quadrant, polarity.new_full((len(polarity),), float("inf"))
        for index in count.nonzero().squeeze(1).tolist():
            centre = (sum_polarity[index] / count[index], sum_entropy[index] / count[index])
            distance = (polarity - centre[0]).square() + (entropy - centre[1]).square()
            nearest = nearest.masked_fill(distance < least, index)
            least = least.minimum(distance)
        if bool((nearest == quadrant).all()):
            break
        quadrant = nearest
    return quadrant
