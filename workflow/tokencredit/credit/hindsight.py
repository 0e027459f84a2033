"""Hindsight: how much likelier a token is to the same policy once it knows the answer, as a weight of the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.parameters import Count, NonNegative, Positive, Share, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

_SHIFT = r"D_{i,t} = \log\pi(o_{i,t} \mid x, z, o_{i,<t}) - \log\pi(o_{i,t} \mid x, o_{i,<t})"
_TEACHER = "The teacher is the policy of the step that is told the gold answer z in its prompt."


@method(
    "rlsd",
    source="arXiv 2604.03128",
    equation=r"\hat A_{i,t} = A_i\,\big[(1 - \lambda) + \lambda \operatorname{clip}\big(e^{\operatorname{sign}(A_i) D_{i,t}}, "
    rf"1 - \epsilon, 1 + \epsilon\big)\big],\quad {_SHIFT}",
    columns=("privileged_logprob", "progress"),
    slips=f"{_TEACHER} The paper's is brought up to date every ten steps, and its lambda falls to 0 over 50 steps, here over a share "
    "of the run.",
)
def rlsd(signals: TokenSignals, start: UpToOne = 0.5, fade: Share = 0.5, clip: UpToOne = 0.2) -> TokenCredit:
    """A_i times a weight near one, the evidence that the token gives for the answer (against it where A_i < 0); it fades out.

    lambda falls from ``start`` to 0 while the share ``fade`` of the run goes by. The sign never changes.
    """
    lam = start * max(0.0, 1 - signals.progress / fade)
    return _weighted(signals, 1 + lam * (_evidence(signals, clip) - 1))


@method(
    "egrsd",
    source="arXiv 2605.13255",
    equation=r"\hat A_{i,t} = A_i\,\operatorname{clip}\big(e^{\operatorname{sign}(A_i) D_{i,t}}, 1 - \epsilon, 1 + \epsilon\big)\,"
    r"\operatorname{clip}\Big(1 - \gamma\,\frac{\min_{0 \le k < W} H^z_{i,t+k}}{\max H^z}, 0.1, 1\Big),\quad "
    rf"{_SHIFT}",
    columns=("privileged_logprob", "privileged_entropy"),
    slips=f"{_TEACHER} H^z is its entropy: uncertain tokens are weighed down, the opposite of `forking`. The paper's own sweep of gamma "
    "shows no trend. Its variant that looks ahead has a window of W = 5. The weights' mean is below one.",
)
def egrsd(signals: TokenSignals, gamma: NonNegative = 0.3, window: Count = 1, clip: UpToOne = 0.2) -> TokenCredit:
    """RLSD's evidence as a weight, less where the policy that knows the answer is uncertain now and within ``window`` tokens."""
    entropy = signals.privileged_entropy.double()
    least = entropy
    for ahead in range(1, window):
        there = entropy.roll(-ahead)
        least = least.minimum(there).where(signals.position + ahead < signals.length.long(), least)
    sure = (1 - gamma * least / entropy.max().clamp(min=1e-300)).clamp(min=0.1, max=1.0)
    return _weighted(signals, _evidence(signals, clip) * sure)


@method(
    "amr-sd",
    source="arXiv 2605.18529",
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\big(1 + \lambda_s \max(0, \pm D_{i,t} - \tau)\big),\quad \pm = \operatorname{sign}(A_i),\quad "
    rf"D_{{i,t}} \text{{ clipped to }} \pm 5,\quad {_SHIFT}",
    columns=("privileged_logprob", "progress"),
    slips=f"{_TEACHER} The paper's is told a hint that it wrote itself. Its coefficients, its threshold and how long they decay could "
    "not be read: one coefficient stands for both signs, and falls to 0 with the run.",
)
def amr_sd(signals: TokenSignals, lam: NonNegative = 1.0, tau: NonNegative = 0.1) -> TokenCredit:
    """A_i, more of it at tokens that speak for the outcome by more than ``tau`` nats; never less than A_i."""
    beyond = (_towards(signals).clamp(min=-5.0, max=5.0) - tau).clamp(min=0)
    return _weighted(signals, 1 + lam * (1 - signals.progress) * beyond)


@method(
    "credit",
    source="arXiv 2605.11613",
    equation=rf"\hat A_{{i,t}} = D_{{i,t}} - \lambda \log\pi(o_{{i,t}} \mid x', z, o_{{i,<t}}),\quad {_SHIFT}",
    columns=("privileged_logprob", "contrast_logprob"),
    slips=f"{_TEACHER} One other problem x' is drawn for each response (C = 1). The sum of D is the pointwise mutual information of "
    "response and answer; what is subtracted is a log-prob and no difference of two, so that every token gains. The reward does not "
    "enter; groups of equal rewards teach nothing unless `every_group` is true, as published.",
)
def credit(signals: TokenSignals, lam: NonNegative = 0.1, every_group: bool = False) -> TokenCredit:
    """The shift itself, less what the answer makes likely whatever the problem is."""
    return _alone(signals, _shift(signals) - lam * signals.contrast_logprob.double(), every_group)


@method(
    "hindsight-naive",
    source="arXiv 2604.11056 v2, abstract: what it warns of",
    status="own",
    equation=rf"\hat A_{{i,t}} = {_SHIFT}",
    columns=("privileged_logprob",),
    slips=f"{_TEACHER} A control: hindsight that depends on the action is no baseline (arXiv 2011.09464), and the entropy should collapse.",
)
def hindsight_naive(signals: TokenSignals, every_group: bool = False) -> TokenCredit:
    """The shift itself as credit, without the outcome."""
    return _alone(signals, _shift(signals), every_group)


@method(
    "hapo-h",
    source="arXiv 2604.11056 v2, abstract, after arXiv 2604.03128",
    status="reconstruction",
    equation=r"\hat A_{i,t} = A_i\,\frac{w_{i,t}}{\frac1{T_i}\sum_k w_{i,k}},\quad w_{i,t} = \max\big(0, 1 + \alpha \operatorname{clip}"
    rf"(\operatorname{{sign}}(A_i) D_{{i,t}}, -c H_{{i,t}}, c H_{{i,t}})\big),\quad {_SHIFT}",
    columns=("privileged_logprob",),
    slips="A second reading of v2's abstract beside `hapo`: a shift to a hindsight posterior gives the amount, entropy the capacity, the "
    "outcome the direction, and the division by the mean the reallocation. That the shift of a token stays within c H is a choice: the "
    f"bound is one of the mean over tokens. {_TEACHER}",
)
def hapo_h(signals: TokenSignals, alpha: UpToOne = 0.2, c: Positive = 1.0) -> TokenCredit:
    """A_i reallocated within each response towards tokens that speak for its outcome, each by at most ``c`` times its entropy."""
    capacity = c * signals.entropy.double()
    weight = (1 + alpha * _towards(signals).clamp(min=-capacity, max=capacity)).clamp(min=0)
    mean = signals.response_mean(weight)
    return _weighted(signals, (weight / mean.masked_fill(mean == 0, 1.0)).masked_fill(mean == 0, 1.0))


def _shift(signals: TokenSignals) -> Tensor:
    """D, [N] float64, nats."""
    return (signals.privileged_logprob - signals.old_logprob).double()


def _towards(signals: TokenSignals) -> Tensor:
    """sign(A) D: how much the token speaks for its response's outcome, [N] float64."""
    return signals.token_advantage.double().sign() * _shift(signals)


def _evidence(signals: TokenSignals, clip: float) -> Tensor:
    return _towards(signals).exp().clamp(min=1 - clip, max=1 + clip)


def _weighted(signals: TokenSignals, weight: Tensor) -> TokenCredit:
    advantage = signals.token_advantage * weight
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)


def _alone(signals: TokenSignals, advantage: Tensor, every_group: bool) -> TokenCredit:
    if not every_group:
        advantage = advantage * signals.varied
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)
