"""The loss and its gradient against loops over tokens and central differences: for every method, and for credits that no method gives."""

from __future__ import annotations

import random
from dataclasses import asdict
from itertools import cycle

import pytest
import torch
from torch import Tensor

from tests.equations import ORACLES
from tests.equations.batch import Batch, Credit, Ragged
from tests.equations.batches import SHAPES, make_batch, named
from tests.equations.convert import flat, signals_of
from tests.equations.loss import Study, entropy_gradient, gradient, loss, stopped_gradient
from tokencredit.credit import METHODS, TokenCredit, assign
from tokencredit.policy import policy_loss

AGGREGATIONS = ("token-mean", "sequence-mean", "constant")
BATCHES = {shape: make_batch(shape, 0) for shape in SHAPES if shape != "long"}
FORMS = [(surrogate, "token", 0.0) for surrogate in ("clip", "unclipped", "cispo", "reinforce")]
FORMS += [
    (surrogate, ratio, power)
    for surrogate, ratio in (("clip", "response"), ("clip", "response-token"), ("unclipped", "response"))
    for power in (-2.0, 0.0, 0.5, 1.0, 3.0)
]
WRITTEN_OUT = {("cispo", "token"), ("clip", "response-token")}  # forms with a stopped gradient


def study(aggregation: str) -> Study:
    return Study(aggregation, clip_low=0.2, clip_high=0.28, kl_coef=0.05, max_response_tokens=20)


@pytest.mark.parametrize("name", METHODS)
def test_loss_and_gradient_of_every_method(name: str) -> None:
    """The aggregations take turns over the batches: each form of a loss meets all of them in the test of any credit."""
    for (shape, batch), aggregation in zip(BATCHES.items(), cycle(AGGREGATIONS), strict=False):
        with named(shape):
            check(batch, ORACLES[name](batch), assign(name, signals_of(batch)), study(aggregation))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("denominator", ["all", "kept"])
@pytest.mark.parametrize(("surrogate", "ratio", "power"), FORMS)
def test_loss_and_gradient_of_any_credit(
    surrogate: str, ratio: str, power: float, denominator: str, aggregation: str
) -> None:
    """Random advantages, masks (some of whole responses), clip ranges and coefficients, one per token."""
    batch = BATCHES["ragged, interleaved"]
    dice = random.Random(f"{surrogate} {ratio} {denominator} {aggregation} {power}")

    def draw(low: float, high: float) -> Ragged:
        return [[dice.uniform(low, high) for _ in response.entropy] for response in batch.responses]

    keep = [[dice.random() < 0.6 and i % 3 > 0 for _ in response.entropy] for i, response in enumerate(batch.responses)]
    expected = Credit(
        draw(-2, 2),
        keep,
        denominator=denominator,
        clip_low=draw(0.05, 0.3),
        clip_high=draw(0.05, 0.3),
        kl_coef=draw(0, 0.2),
        ratio=ratio,
        ratio_power=power,
        surrogate=surrogate,
        old_kl_coef=0.0 if (surrogate, ratio) in WRITTEN_OUT else draw(0, 1),
        entropy_coef=draw(0, 0.1),
    )
    values = {name: flat(value) if isinstance(value, list) else value for name, value in asdict(expected).items()}
    obtained = TokenCredit(**values | {"keep": torch.tensor([kept for row in keep for kept in row])})
    check(batch, expected, obtained, study(aggregation))


def test_the_random_credits_meet_both_clip_bounds() -> None:
    signals = signals_of(BATCHES["ragged, interleaved"])
    ratios = torch.exp(signals.logprob - signals.old_logprob)
    assert (ratios < 0.7).any()
    assert (ratios > 1.3).any()


def check(batch: Batch, expected: Credit, obtained: TokenCredit, study: Study) -> None:
    """The same loss to 1e-9, and the same derivatives with respect to every log-probability and entropy."""
    signals = signals_of(batch)
    logprob, entropy = signals.logprob.clone().requires_grad_(), signals.entropy.clone().requires_grad_()
    value, _ = policy_loss(logprob, signals, obtained, entropy=entropy, **asdict(study))
    (value + 0 * entropy.sum()).backward()
    assert float(value.detach()) == pytest.approx(loss(batch, expected, study), abs=1e-9)
    close(logprob.grad, gradient(batch, expected, study), 1e-7)
    close(entropy.grad, entropy_gradient(batch, expected, study), 1e-12)
    if (expected.surrogate, expected.ratio) in WRITTEN_OUT:
        close(logprob.grad, stopped_gradient(batch, expected, study), 1e-9)


def close(obtained: Tensor | None, expected: Ragged, tolerance: float) -> None:
    torch.testing.assert_close(obtained, flat(expected), atol=tolerance, rtol=0)
