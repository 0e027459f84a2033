"""The states that predict tokens, and a token's distribution against those of its group, written out from whole logits."""

from __future__ import annotations

import math

import pytest
import torch

from tests.models import tiny_qwen3
from tokencredit.policy import Sequence, states
from tokencredit.policy.states import hidden_states, uniqueness

GROUP = [
    Sequence((1, 2, 3), (4, 5, 6, 7, 0)),
    Sequence((1, 2, 3), (8, 3)),
    Sequence((1, 2, 3), (4, 5, 2)),
]


def distributions(temperature: float) -> list[list[list[float]]]:
    """One response after the other, one list of probabilities for each of its tokens."""
    model, found = tiny_qwen3(), []
    for sequence in GROUP:
        logits = model(torch.tensor([[*sequence.prompt, *sequence.response]])).logits[0] / temperature
        first = len(sequence.prompt) - 1
        found.append(logits.softmax(1)[first : first + len(sequence.response)].tolist())
    return found


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("tile", [1, 60, 10**6])
def test_uniqueness_is_the_divergence_from_the_groups_mean(
    temperature: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those responses that are long enough; however few rows a tile of probabilities has."""
    monkeypatch.setattr(states, "_TILE_NUMBERS", tile)
    probabilities, expected = distributions(temperature), []
    for own in probabilities:
        for t, p in enumerate(own):
            there = [other[t] for other in probabilities if len(other) > t]
            mean = [sum(values) / len(there) for values in zip(*there, strict=True)]
            middle = [(a + b) / 2 for a, b in zip(p, mean, strict=True)]
            expected.append(kl(p, middle) / 2 + kl(mean, middle) / 2)
    found = uniqueness(tiny_qwen3(), GROUP, 12, temperature)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-7, rtol=1e-5)
    assert found[[0, 5, 7]].max() < 1e-12, "the first tokens have one prompt"
    assert found[[3, 4]].max() < 1e-12, "there is no other response"
    assert found[[1, 6]].min() > 1e-4


@pytest.mark.parametrize("budget", [1, 1000])
def test_states_are_what_the_head_reads(budget: int) -> None:
    """Times the head's weight they are the model's logits, one place before each token; the model is left in its mode."""
    model = tiny_qwen3().train()
    found = hidden_states(model, GROUP, budget)
    assert model.training
    assert found.dtype == torch.float64
    logits = []
    for sequence in GROUP:
        whole = model(torch.tensor([[*sequence.prompt, *sequence.response]])).logits[0]
        logits.append(whole[len(sequence.prompt) - 1 : -1])
    torch.testing.assert_close(found @ model.lm_head.weight.T, torch.cat(logits), atol=1e-10, rtol=0)
