"""ARCA: tokens weigh by how far the adapter has moved the state that predicts them (arXiv 2606.00257)."""

from __future__ import annotations

from tokencredit.credit.parameters import NonNegative, Positive
from tokencredit.credit.registry import method
from tokencredit.credit.segments import segment_mean
from tokencredit.credit.signals import TokenCredit, TokenSignals


@method(
    "arca",
    source="arXiv 2606.00257",
    equation=r"g = A_i \sum_t w_t \nabla\log\pi(o_t),\quad w_t = \frac{a_t^s + \varepsilon}{\sum_k (a_k^s + \varepsilon)},\quad "
    r"a_t = \lVert h_t^{\text{on}} - h_t^{\text{off}} \rVert_2",
    columns=("residual_norm",),
    slips="The authors' runs square a (`sharpening: 2`) where the equation has exponent 1; the printed Gini and effective-token numbers "
    "are those of squared scores. Their adapter's dropout is active while a is measured; here it is off.",
)
def arca(signals: TokenSignals, sharpening: NonNegative = 1.0, epsilon: Positive = 1e-8) -> TokenCredit:
    """A_i T_i w_t with log pi in place of the ratio and without clipping: under the sequence mean each response is A_i sum_t w_t log pi_t.

    w sums to 1 within the response; before the adapter has moved anything all a are 0 and w is uniform.
    """
    score = signals.residual_norm.double().pow(sharpening) + epsilon
    weight = score / segment_mean(score, signals.response)
    advantage = signals.token_advantage
    return TokenCredit((advantage * weight).to(advantage.dtype), signals.every_token, surrogate="reinforce")
