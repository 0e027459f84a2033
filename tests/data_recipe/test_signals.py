"""The signals of rows, by plain loops over the model's own log-probs."""

from __future__ import annotations

import math

import pytest
import torch

from tests.models import known_model, tiny_qwen3
from tokencredit.data_recipe.signals import model_signals
from tokencredit.policy import Sequence

ROWS = [
    Sequence((3, 4), (5, 6, 7)),
    Sequence((8,), (9, 10)),
    Sequence((3, 4, 11, 12, 13), (2,)),
    Sequence((20, 19), (18, 17, 16, 15, 14)),
]
BEGINNING, TARGET = 1, [(3, 4), (3, 5, 4)]


@torch.no_grad()
def by_loops(model: torch.nn.Module) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"tokens": [], "ifd": [], "varentropy": [], "relevance": []}

    def losses(prompt: tuple[int, ...], response: tuple[int, ...]) -> tuple[float, float]:
        logprob = model(torch.tensor([[*prompt, *response]])).logits[0].double().log_softmax(-1)
        surprise, spread = 0.0, 0.0
        for place, token in enumerate(response, start=len(prompt)):
            row = logprob[place - 1].tolist()
            entropy = -sum(math.exp(value) * value for value in row)
            surprise -= row[token] / len(response)
            spread += sum(math.exp(value) * (value + entropy) ** 2 for value in row) / len(response)
        return surprise, spread

    def state(prompt: tuple[int, ...]) -> torch.Tensor:
        hidden = model.get_decoder()(torch.tensor([prompt])).last_hidden_state[0].double()
        return hidden[: max(1, len(prompt) - 1)].mean(0)

    states = [state(row.prompt) for row in ROWS]
    middle = sum(states) / len(states)
    target = sum(map(state, TARGET)) / len(TARGET) - middle
    for row, own in zip(ROWS, states, strict=True):
        after, spread = losses(row.prompt, row.response)
        alone, _ = losses((BEGINNING,), row.response)
        found["tokens"].append(len(row.response))
        found["ifd"].append(after / alone)
        found["varentropy"].append(spread)
        found["relevance"].append(float((own - middle) @ target / ((own - middle).norm() * target.norm())))
    return found


@pytest.mark.parametrize("budget", [6, 1000])
def test_signals_are_those_of_plain_loops(budget: int) -> None:
    model = tiny_qwen3()
    found = model_signals(model, ROWS, BEGINNING, TARGET, budget)
    for name, values in by_loops(model).items():
        assert found[name].tolist() == pytest.approx(values, rel=1e-5), name


def test_of_a_policy_that_is_sure_of_some_tokens_and_knows_nothing_of_others() -> None:
    """After token 1 four tokens are equally likely; after token 2 only token 3 is possible: no surprise varies."""
    logits = torch.full((6, 6), -math.inf, dtype=torch.float64)
    logits[:, 2:6] = 0.0
    logits[2] = -math.inf
    logits[2, 3] = 0.0
    model = known_model(logits.nan_to_num(neginf=-1e4))
    rows = [Sequence((1,), (2, 3)), Sequence((2,), (3, 3))]
    found = model_signals(model, rows, 1, [(1, 1)], 100)
    assert found["varentropy"].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert found["ifd"].tolist() == pytest.approx([1, 0.5], rel=1e-6)
