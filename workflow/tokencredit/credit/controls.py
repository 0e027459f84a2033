"""Controls: methods to compare with, each made from a method's own credit by taking one property away.

A weight with another mean is another learning rate, and any subset of tokens trains a little: token weights matter only if the
method beats its own controls. ``control: NAME`` in ``config/methods.yaml`` applies one to a method.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokencredit.credit.registry import Method
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Control:
    """A function of a method's credit, and the optional columns of ``TokenSignals`` that it needs."""

    function: Callable[[TokenSignals, TokenCredit], TokenCredit]
    columns: tuple[str, ...] = ()


def refusal(control: str, method: Method) -> str | None:
    """Why the control cannot act around the method, as the end of a sentence; None where it can."""
    if control in ("random-mask", "random-high-mask") and not method.masks:
        return "leaves no token out, so there is no mask to draw anew"
    if control == "shuffled" and not method.per_token:
        return "treats all tokens of a response alike, so there is nothing to permute"
    if control == "norm-matched" and method.plain:
        return "has the group advantage at every token, so its norm is matched already"
    if control == "norm-matched" and "teacher_logprob" in method.columns:
        return "does not start from the group advantage, so uniform weights of it are another method"
    return None


def controlled(control: str, signals: TokenSignals, credit: TokenCredit) -> TokenCredit:
    """``credit`` under the control of that name. Raises ``UserError`` for an unknown one and for a missing column."""
    if control not in CONTROLS:
        raise UserError(f"control {control!r} is not known; allowed: {', '.join(CONTROLS)}.")
    for column in CONTROLS[control].columns:
        if getattr(signals, column) is None:
            raise UserError(f"control {control!r} needs the column {column!r}, which these signals do not hold.")
    return CONTROLS[control].function(signals, credit)


def norm_matched(signals: TokenSignals, credit: TokenCredit) -> TokenCredit:
    """Uniform weights of the same sum |w A| over the batch, all tokens kept: what the method's learning rate alone does.

    The scale takes the method's denominator in, so that the token mean of \\|A\\| over the batch that the credit was computed for is the
    method's.
    """
    mass = (credit.advantage.double().abs() * credit.keep).sum()
    if credit.denominator == "kept":
        mass = mass * len(credit.keep) / credit.keep.sum().clamp(min=1)
    uniform = signals.token_advantage.double()
    total = uniform.abs().sum()
    advantage = uniform * (mass / total.masked_fill(total == 0, 1.0))
    return dataclasses.replace(
        credit, advantage=advantage.to(credit.advantage.dtype), keep=signals.every_token, denominator="all"
    )


def shuffled(signals: TokenSignals, credit: TokenCredit) -> TokenCredit:
    """The same credits, permuted within each response: what their distribution does without their places."""
    by_noise = signals.control_noise.argsort(stable=True)
    return credit.select(by_noise[signals.response[by_noise].argsort(stable=True)])


def random_mask(signals: TokenSignals, credit: TokenCredit) -> TokenCredit:
    """As many tokens as the method keeps in the batch, but random ones, each with the group advantage: what any such subset does."""
    return _masked(signals, credit, signals.control_noise)


def random_high_mask(signals: TokenSignals, credit: TokenCredit) -> TokenCredit:
    """As `random_mask`, but drawn among the tokens of entropy above the batch's mean: what high entropy alone does, in the method's number.

    Where the method keeps more tokens than that, all of these are kept, and the rest is drawn among the others.
    """
    low = signals.entropy <= signals.entropy.double().mean()
    return _masked(signals, credit, signals.control_noise.double() + low)  # noise is below 1: high ones come first


def _masked(signals: TokenSignals, credit: TokenCredit, order: Tensor) -> TokenCredit:
    """As many tokens as ``credit`` keeps, the first by ``order`` [N], each with the group advantage."""
    keep = signals.every_token & False
    keep[order.argsort(stable=True)[: int(credit.keep.sum())]] = True
    advantage = signals.token_advantage.to(credit.advantage.dtype)
    return dataclasses.replace(credit, advantage=advantage, keep=keep)


CONTROLS: dict[str, Control] = {
    "norm-matched": Control(norm_matched),
    "shuffled": Control(shuffled, columns=("control_noise",)),
    "random-mask": Control(random_mask, columns=("control_noise",)),
    "random-high-mask": Control(random_high_mask, columns=("control_noise",)),
}
