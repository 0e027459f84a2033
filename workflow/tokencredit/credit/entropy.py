"""Methods that use the entropy itself: a bonus in the loss, a term of the advantage, a mask."""

from __future__ import annotations

from tokencredit.credit.parameters import AtLeastOne, NonNegative, Share
from tokencredit.credit.registry import method
from tokencredit.credit.segments import highest
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "entroreg",
    plain=True,
    per_token=False,
    source="arXiv 2604.11056, App. B.4",
    equation=r"L = L_{\text{base}} - \beta\,\tfrac1N \sum_{i,t} H_{i,t}",
    slips="The paper does not state its coefficient; published sweeps find 1e-4 and 1e-3 nearly without effect, 1e-2 an explosion.",
)
def entroreg(signals: TokenSignals, beta: NonNegative = 1e-3) -> TokenCredit:
    """A_it = A_i, and beta times the mean entropy is maximised, with the gradient through the entropy."""
    return TokenCredit(signals.token_advantage, signals.every_token, entropy_coef=beta)


@method(
    "entroreg-adaptive",
    plain=True,
    per_token=False,
    source="arXiv 2505.22312 (Skywork-OR1)",
    equation=r"L = L_{\text{base}} - c_s\,\mathbb 1[\bar H_s < H^*]\,\tfrac1N \sum_{i,t} H_{i,t},\quad "
    r"c_s = \operatorname{clip}(c_{s-1} \pm \delta, 0, c_{\max}),\ + \text{ where } \bar H_{s-1} < H^*",
    columns=("entropy_history",),
    slips="Trainers that copied the rule have defaults 50 (step) and 200 (bound) times larger.",
)
def entroreg_adaptive(
    signals: TokenSignals, target: NonNegative = 0.2, delta: NonNegative = 1e-4, largest: NonNegative = 0.005
) -> TokenCredit:
    """An entropy bonus whose coefficient moves by ``delta`` a step, up while the mean entropy is below ``target`` nats, down otherwise.

    It starts at 0, stays in [0, ``largest``] and acts only while the entropy of this step is below the target.
    """
    coefficient = 0.0
    for entropy in signals.entropy_history.tolist():
        coefficient = min(max(coefficient + (delta if entropy < target else -delta), 0.0), largest)
    below = bool(signals.entropy.double().mean() < target)
    return TokenCredit(signals.token_advantage, signals.every_token, entropy_coef=coefficient if below else 0.0)


@method(
    "entroadv",
    source="arXiv 2506.14758",
    equation=r"\hat A_{i,t} = A_i + \min\!\big(\alpha\,\mathrm{sg}[H_{i,t}],\ |A_i| / \kappa\big)",
    stage="update",
    slips='arXiv 2604.11056, Table 4, calls it "positive only"; it adds a positive term to every token, right or wrong.',
)
def entroadv(signals: TokenSignals, alpha: NonNegative = 0.4, kappa: AtLeastOne = 2.0) -> TokenCredit:
    """A + min(alpha H, |A| / kappa), always plus: on wrong responses it shrinks the penalty; with kappa > 1 the sign never flips."""
    advantage = signals.token_advantage
    bonus = (alpha * signals.entropy).minimum(advantage.abs() / kappa)
    return TokenCredit(advantage + bonus.to(advantage.dtype), signals.every_token)


@method(
    "forking",
    source="arXiv 2506.01939",
    equation=r"L = -\frac{\sum_{i,t} \mathbb 1[H_{i,t} \ge \tau_\rho]\, S_{i,t}}{\sum_{i,t} \mathbb 1[H_{i,t} \ge \tau_\rho]}",
    stage="update",
    masks=True,
    slips="Paper and code divide by the selected tokens; a common trainer option keeps all tokens in the denominator (5 times smaller at "
    "rho = 0.2). The code's threshold is the micro-batch's, here the optimiser batch's. Its first releases trained without the mask.",
)
def forking(signals: TokenSignals, rho: Share = 0.2) -> TokenCredit:
    """The ceil(rho N) tokens of highest entropy in the batch, and those that equal the last of them; the mean is over these."""
    return TokenCredit(signals.token_advantage, keep=highest(signals.entropy, rho), denominator="kept")
