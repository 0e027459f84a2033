"""How a method spreads its credit over tokens: how much, how evenly, with which sign, and along which signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokencredit.credit.segments import segment_mean, segment_order, segment_sum
from tokencredit.credit.signals import TokenCredit, TokenSignals

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-6  # relative spread below which values are one: credit is computed in single precision


def diagnose(signals: TokenSignals, credit: TokenCredit) -> dict[str, float | None]:
    """Numbers of one optimiser batch by name; None where one is undefined. Only ``advantage`` and ``keep`` of the credit enter.

    With s_it = |A_it| where the token is kept and 0 where not, and the weight w_it = s_it / |A_i|:

    - ``credit_mean``, ``credit_sum``: of s over all N tokens; ``kept``: share of tokens kept;
    - ``weight_gini``: G_i = sum_k (2k - T_i - 1) w_(k) / (T_i sum_t w_it), w ascending, k from 1: 0 for equal weights, (T_i - 1) / T_i for
      one token alone; ``effective_tokens``: 1 / (T_i sum_t p_it^2) with p = w / sum_t w: 1 and 1 / T_i. Both are means over the responses
      that have any weight (arXiv 2606.00257);
    - ``sign_changes``: share of the kept tokens with A_it != 0 whose sign is not that of A_i;
    - ``correlation_entropy``, ``correlation_position``, ``correlation_logprob``: Pearson's, of w with the entropy, with the relative place
      t / T_i (0 the first token, below 1 the last) and with log pi_old, over all tokens of the batch; constant weights have none.

    A response with A_i = 0 has no w and no sign: where a method gives it credit all the same, that counts in the sums and, as |A_i|
    cancels there, in Gini and effective tokens, and is left out of sign changes and correlations.
    """
    size = credit.advantage.double().abs().masked_fill(~credit.keep, 0.0)
    advantage = signals.token_advantage
    signed = advantage != 0
    weight = size[signed] / advantage[signed].double().abs()
    changed = credit.advantage.sign() != advantage.sign()
    gini, effective = _concentration(size, signals)
    return {
        "credit_mean": _mean(size),
        "credit_sum": float(size.sum()),
        "kept": _mean(credit.keep),
        "weight_gini": gini,
        "effective_tokens": effective,
        "sign_changes": _mean(changed[signed & (size > 0)]),
        "correlation_entropy": _correlation(weight, signals.entropy[signed]),
        "correlation_position": _correlation(weight, (signals.position / signals.length)[signed]),
        "correlation_logprob": _correlation(weight, signals.old_logprob[signed]),
    }


def _concentration(size: Tensor, signals: TokenSignals) -> tuple[float | None, float | None]:
    """Gini coefficient and effective-token ratio of ``size`` [N] in a response, means over responses with any."""
    response, length = signals.response, signals.length
    ordered = size[segment_order(size, response)]
    rank = signals.every_token.cumsum(0).double()
    centred = rank - segment_mean(rank, response)  # (2k - T - 1) / 2
    last = centred == (length - 1) / 2
    # By the largest of the response, so that equal weights are exactly 1 and their Gini coefficient is exactly 0.
    largest = segment_sum(ordered * last, response)
    weight = ordered / largest.masked_fill(largest == 0, 1.0)
    total = segment_sum(weight, response)
    gini = 2 * segment_sum(centred * weight, response) / (length * total)
    effective = total.square() / (length * segment_sum(weight.square(), response))
    once = last & (largest > 0)
    return _mean(gini[once]), _mean(effective[once])


def _correlation(one: Tensor, other: Tensor) -> float | None:
    """Pearson's r of [M] and [M]; None where either is constant."""
    if not len(one):
        return None
    standardised = []
    for values in (one.double(), other.double()):
        deviation = values - values.mean()
        spread = deviation.square().mean().sqrt()
        if bool(spread <= ROUNDING * values.abs().mean()):
            return None
        standardised.append(deviation / spread)
    return float((standardised[0] * standardised[1]).mean())


def _mean(values: Tensor) -> float | None:
    return float(values.double().mean()) if len(values) else None
