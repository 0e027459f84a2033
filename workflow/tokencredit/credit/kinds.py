"""Credit by the kind of a token, which the embedded tasks know: the effect of a signal that distinguishes kinds of forks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from tokencredit.credit.eapo import eapo
from tokencredit.credit.parameters import AboveOne, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.signals import KINDS, TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

STYLE, STRATEGY, BRANCH, RESULT, ANSWER, COPY, ROUTINE = KINDS
Part = Literal["strategy", "style", "execution", "no-style-no-routine"]

_PARTS: dict[str, tuple[str, ...]] = {
    "strategy": (STRATEGY, BRANCH),
    "style": (STYLE,),
    "execution": (RESULT, ANSWER, COPY),
    "no-style-no-routine": tuple(kind for kind in KINDS if kind not in (STYLE, ROUTINE)),
}
_PAPER = "arXiv 2604.11056 v1"
_EMBEDDED = "For the embedded tasks only: elsewhere nobody knows the kinds."


@method(
    "kind-mask",
    source=f"{_PAPER}, section 3, by kind",
    status="own",
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[k_{i,t} \in K]\, S_{i,t}}{\sum_{i,t} \mathbb 1[k_{i,t} \in K]}",
    columns=("kind",),
    masks=True,
    slips=f"{_EMBEDDED} The denominator is the kept tokens, as of `forking`.",
)
def kind_mask(signals: TokenSignals, part: Part = "strategy") -> TokenCredit:
    """The tokens of one ``part`` with the group advantage; the mean is over these.

    "strategy": the way of working, going on or leaving, and which road; "style": where any of some words will do; "execution": results,
    answers and copied numbers; "no-style-no-routine": all but style and routine.
    """
    return TokenCredit(signals.token_advantage, keep=_among(signals, _PARTS[part]), denominator="kept")


@method(
    "eapo-known-style",
    source=f"{_PAPER}, Eq. 6-7, of H by kind",
    status="own",
    equation=r"\hat A_{i,t} = A_i + \alpha\,\operatorname{sign}(A_i)\,"
    r"\operatorname{clip}\!\Big(\tfrac{H'_{i,t}-\mu_{H'}}{\sigma_{H'}}, -\tfrac{|A_i|}{\phi}, \tfrac{|A_i|}{\phi}\Big),\quad "
    r"H' = \mathbb 1[k_{i,t} \ne \text{style}]\, H",
    columns=("kind",),
    slips=_EMBEDDED,
)
def eapo_known_style(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO whose entropy is 0 where the fork is known to be one of style."""
    entropy = signals.entropy.masked_fill(_among(signals, (STYLE,)), 0.0)
    return eapo(dataclasses.replace(signals, entropy=entropy), alpha, phi)


def _among(signals: TokenSignals, kinds: tuple[str, ...]) -> Tensor:
    """[N] bool: the token's kind is one of ``kinds``."""
    found = ~signals.every_token
    for kind in kinds:
        found = found | (signals.kind == KINDS.index(kind))
    return found
