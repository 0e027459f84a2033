"""Gradients in all weights, against differences of the log-probs and against one backward pass for each token."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.models import tiny_qwen3
from tokencredit.policy import Sequence
from tokencredit.policy.gradients import Distributions, along, effective_rank, gradient

SEQUENCE = Sequence((1, 2, 3), (4, 5, 6, 7, 0))
COEFFICIENT = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.25])
STEP = 1e-4


def logprobs(model: torch.nn.Module, temperature: float) -> Tensor:
    """[T]: those of the response, from the logits of the whole text."""
    logits = model(torch.tensor([[*SEQUENCE.prompt, *SEQUENCE.response]])).logits[0] / temperature
    first = len(SEQUENCE.prompt) - 1
    return torch.stack([logits[first + t].log_softmax(0)[token] for t, token in enumerate(SEQUENCE.response)])


def jacobian(model: torch.nn.Module, temperature: float) -> Tensor:
    """[T, P]: one backward pass for each token."""
    rows = []
    for value in logprobs(model, temperature):
        model.zero_grad()
        value.backward(retain_graph=True)
        rows.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    return torch.stack(rows)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("tied", [True, False])
def test_they_are_those_of_each_token_added_up(tied: bool, temperature: float) -> None:
    model = tiny_qwen3(tied)
    each = jacobian(tiny_qwen3(tied), temperature)
    policy = Distributions(model, temperature)
    torch.testing.assert_close(gradient(policy, SEQUENCE, COEFFICIENT), COEFFICIENT.double() @ each)
    direction = torch.randn(each.shape[1], generator=torch.Generator().manual_seed(0)).double()
    # Norms are computed in float32.
    torch.testing.assert_close(along(policy, SEQUENCE, direction), each @ direction, rtol=1e-5, atol=1e-6)


def test_a_step_in_a_direction_changes_each_log_prob_as_much_as_said() -> None:
    model = tiny_qwen3()
    policy = Distributions(model)
    weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    direction = torch.randn(len(weights), generator=torch.Generator().manual_seed(1)).double()
    said, ends = along(policy, SEQUENCE, direction), []
    with torch.no_grad():
        for sign in (1, -1):
            torch.nn.utils.vector_to_parameters(weights + sign * STEP * direction, model.parameters())
            ends.append(logprobs(model, 1.0))
    torch.testing.assert_close(said, (ends[0] - ends[1]) / (2 * STEP), rtol=1e-3, atol=1e-4)


def test_the_effective_rank_is_that_of_the_singular_values() -> None:
    one = torch.tensor([3.0, 0, 0, 4])
    assert effective_rank(torch.stack([one, 2 * one, -one])) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.eye(4)[:3] * 7) == pytest.approx(3)
    assert effective_rank(torch.tensor([[3.0, 0, 0], [0, 1, 0]])) == pytest.approx(16 / 10)
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(2)).double()
    singular = torch.linalg.svdvals(rows)
    assert effective_rank(rows) == pytest.approx(float(singular.sum() ** 2 / (singular**2).sum()))
