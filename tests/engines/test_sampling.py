"""Tokens follow the distribution they are said to follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tokencredit.engines.sampling import nucleus, sample_tokens
from tokencredit.errors import UserError
from tokencredit.seeds import uniforms


def draw(
    logits: list[float], temperature: float, top_p: float, count: int = 40_000
) -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.from_numpy(uniforms(np.arange(count, dtype=np.uint64), 0))
    return sample_tokens(torch.tensor(logits).expand(count, -1), noise, temperature, top_p)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_frequencies_are_the_softmax_at_the_temperature(temperature: float) -> None:
    logits = [0.3, -1.0, 2.0, 0.0, 1.1]
    tokens, logprobs = draw(logits, temperature, 1.0)
    expected = torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, 0)
    counts = torch.bincount(tokens, minlength=5)
    assert chisquare(counts.numpy(), (expected * len(tokens)).numpy()).pvalue > 1e-3
    torch.testing.assert_close(logprobs.double(), expected.log()[tokens], atol=1e-6, rtol=0)


def test_top_p_keeps_the_smallest_set_that_reaches_the_mass() -> None:
    probs = torch.tensor([[0.1, 0.4, 0.2, 0.3]], dtype=torch.float64)
    for top_p, kept in [(0.3, [1]), (0.5, [1, 3]), (0.69, [1, 3]), (0.75, [1, 2, 3]), (0.95, [0, 1, 2, 3])]:
        assert nucleus(probs, top_p)[0].nonzero().squeeze(-1).tolist() == kept, top_p


def test_top_p_renormalises_what_it_samples_but_not_the_logprobs() -> None:
    probs = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
    tokens, logprobs = draw(probs.log().tolist(), 1.0, 0.65)
    counts = torch.bincount(tokens, minlength=4)
    assert counts[[0, 2]].tolist() == [0, 0]
    assert chisquare(counts[[1, 3]].numpy(), len(tokens) * np.array([4, 3]) / 7).pvalue > 1e-3
    torch.testing.assert_close(logprobs.double(), probs.log()[tokens], atol=1e-6, rtol=0)


@pytest.mark.parametrize("noise", [0.0, 1 - 2.0**-53])
def test_a_token_without_mass_is_never_drawn(noise: float) -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    token, _ = sample_tokens(logits, torch.tensor([noise], dtype=torch.float64), 1.0, 1.0)
    assert token.item() == (1 if noise == 0.0 else 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_said_to_be(value: float) -> None:
    with pytest.raises(UserError, match="logits are not finite while sampling"):
        draw([0.0, value, 1.0], 1.0, 1.0, count=2)
