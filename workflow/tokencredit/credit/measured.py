"""Measured credit: a token's worth by continuations of the policy, in place of a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.eapo import direction
from tokencredit.credit.parameters import AboveOne, UpToOne
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_sum
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

_VINE = "arXiv 2410.01679 (VinePPO)"
_VINE_SLIPS = (
    "VinePPO's unit is the reasoning step and its rewards are 0 and 1; here they are -1 and +1, which doubles every difference. It knows "
    "no groups: those of equal rewards teach nothing here unless `every_group` is true, as published. Nothing is divided by a standard "
    "deviation: the sum over a response is its reward less the expected one, and before Adam a step is about T_i times smaller than GRPO's."
)
_PAPER = "arXiv 2604.11056 v1"


@method(
    "vine",
    source=f"{_VINE}, token by token",
    equation=r"\hat A_{i,t} = 2\,\big(V(s_{i,t+1}) - V(s_{i,t})\big),\quad V(s) = \Pr(r = 1 \mid s),\quad "
    r"V(s_{i,T_i+1}) = \mathbb 1[r_i = 1]",
    columns=("value",),
    slips=_VINE_SLIPS,
)
def vine(signals: TokenSignals, every_group: bool = False) -> TokenCredit:
    """What the token changed: the value of the state after it less that of the state before it, in units of the reward.

    V is the share of right continuations of the current policy, which are not trained on. After the last token it is the outcome, so the
    credits of a response add up to r_i less the reward that was to be expected.
    """
    last = signals.position == signals.length.long() - 1
    value = signals.value.double()
    after = value.roll(-1).where(~last, signals.right.double())
    return _of_change(signals, after - value, every_group)


@method(
    "vine-steps",
    source=_VINE,
    equation=r"\hat A_{i,t} = 2\,\big(V(s_{i,e(t)}) - V(s_{i,b(t)})\big),\quad b(t), e(t)\text{: the first tokens of } t\text{'s step "
    r"and of the next}",
    columns=("value", "response_step"),
    slips=f"{_VINE_SLIPS} Steps end where a sentence does.",
)
def vine_steps(signals: TokenSignals, every_group: bool = False) -> TokenCredit:
    """What the step changed, at each of its tokens: the value where it ends less that where it begins, in units of the reward.

    Only the states that steps begin at are measured.
    """
    begins = (signals.position == 0) | (signals.response_step != signals.response_step.roll(1))
    begins[:1] = True
    step = begins.cumsum(0) - 1
    first = begins.nonzero().squeeze(1)
    response = signals.response[first]
    ends_response = response != response.roll(-1)
    ends_response[-1:] = True
    value = signals.value.double()[first]
    after = value.roll(-1).where(~ends_response, signals.right[first].double())
    return _of_change(signals, (after - value)[step], every_group)


@method(
    "measured-information",
    source=f"{_PAPER}, section 2, as a weight",
    status="own",
    equation=r"\hat A_{i,t} = A_i\,\frac{I_{i,t}}{\operatorname{mean}_G I},\quad I_{i,t} = \max\big(0, I(o; r \mid s_{i,t})\big)",
    columns=("information", "state"),
    slips="The paper's definition of credit as a weight, which it does not try itself. The estimate of I has next to no bias, its part "
    "above zero has some. The mean is over the group's different states, so that over its tokens it is not exactly one.",
)
def measured_information(signals: TokenSignals) -> TokenCredit:
    """A_i in proportion to the measured information that the next token holds about the reward, with mean one over the group's states.

    A state that several responses of the group pass counts once. Where no state of a group holds any information all weights are one.
    """
    information = signals.information.double().clamp(min=0)
    mean = _mean_of_states(signals, information)
    nothing = mean <= 0
    weight = (information / mean.masked_fill(nothing, 1.0)).masked_fill(nothing, 1.0)
    return TokenCredit((signals.token_advantage * weight).to(signals.advantage.dtype), signals.every_token)


@method(
    "eapo-measured",
    source=f"{_PAPER}, Eq. 6-7, of I",
    status="own",
    equation=r"\hat A_{i,t} = A_i + \alpha\,\operatorname{sign}(A_i)\,"
    r"\operatorname{clip}\!\Big(\tfrac{I_{i,t}-\mu_I}{\sigma_I}, -\tfrac{|A_i|}{\phi}, \tfrac{|A_i|}{\phi}\Big)",
    columns=("information", "state"),
    slips="EAPO as it would be if the entropy told credit apart: the weights stay in the band of EAPO's.",
)
def eapo_measured(signals: TokenSignals, alpha: UpToOne = 0.2, phi: AboveOne = 2.0) -> TokenCredit:
    """EAPO with the measured information I(o; r | s) of the state in the place of its entropy.

    mu_I and sigma_I (ddof 0) are taken over the group's different states: one that several of its responses pass counts once.
    """
    information = signals.information.double()
    mean = _mean_of_states(signals, information)
    deviation = information - mean
    sigma = _mean_of_states(signals, deviation.square()).sqrt()
    level = sigma <= 1e-12 * (1.0 + mean.abs())
    z = (deviation / sigma.masked_fill(level, 1.0)).masked_fill(level, 0.0).to(signals.advantage.dtype)
    return TokenCredit(signals.token_advantage + alpha * direction(signals, z, phi), signals.every_token)


def _of_change(signals: TokenSignals, change: Tensor, every_group: bool) -> TokenCredit:
    """``change`` [N] of the share of right continuations, in units of the reward."""
    advantage = 2 * change if every_group else 2 * change * signals.varied
    return TokenCredit(advantage.to(signals.advantage.dtype), signals.every_token)


def _mean_of_states(signals: TokenSignals, values: Tensor) -> Tensor:
    """[N] -> [N] float64: the mean of ``values`` over the different states of the token's group."""
    states = signals.state.unique(return_inverse=True)[1]
    own = signals.token_group * len(states) + states
    once = 1 / segment_sum(values.new_ones(len(values)), own.unique(return_inverse=True)[1])
    return segment_sum(values * once, signals.token_group) / segment_sum(once, signals.token_group)
