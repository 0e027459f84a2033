"""Training on rows: the loss by hand, the order of rows, and what changes nothing."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch

from tests.models import tiny_qwen3
from tokencredit.config import Tuning
from tokencredit.data_recipe.tuning import batches, tune
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence

ROWS = [Sequence((3, 4), (5, 6, 7)), Sequence((8,), (9, 10)), Sequence((3, 4, 11), (2,))]


def settings(**changes: float) -> Tuning:
    return Tuning(**{"steps": 4, "batch": 2, "learning_rate": 0.01, "warmup_steps": 1, "weight_decay": 0.0, **changes})


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_every_row_comes_once_before_any_comes_again() -> None:
    found = [place for batch in batches(5, settings(steps=5, batch=3), seed=0) for place in batch]
    assert len(found) == 15
    assert all(sorted(found[start : start + 5]) == list(range(5)) for start in (0, 5, 10))
    assert found[:5] != found[5:10]
    assert found == [place for batch in batches(5, settings(steps=5, batch=3), seed=0) for place in batch]
    assert found != [place for batch in batches(5, settings(steps=5, batch=3), seed=1) for place in batch]
    assert Counter(place for batch in batches(1, settings(), seed=0) for place in batch) == {0: 8}


def test_an_update_is_that_of_the_mean_over_the_tokens_of_the_batch() -> None:
    """One update of AdamW by hand: the loss is the mean -log p of all response tokens, whatever rows they are of."""
    model = tiny_qwen3()
    hand = copy.deepcopy(model)
    told = tune(Scorer(model), ROWS, settings(steps=1, batch=3), seed=0, budget=100)
    optimizer = torch.optim.AdamW(hand.parameters(), lr=0.01, weight_decay=0.0)
    losses = []
    for row in ROWS:
        logprob = hand(torch.tensor([[*row.prompt, *row.response]])).logits[0].log_softmax(-1)
        losses += [-logprob[place - 1, token] for place, token in enumerate(row.response, start=len(row.prompt))]
    loss = torch.stack(losses).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(hand.parameters(), 1.0)
    optimizer.step()
    assert told.loss == pytest.approx(float(loss.detach()), rel=1e-6)
    assert told.tokens == sum(map(len, ROWS))
    assert torch.allclose(weights(model), weights(hand), atol=1e-7)


@pytest.mark.slow
def test_the_budget_of_a_pass_changes_nothing_and_the_loss_falls() -> None:
    models = [tiny_qwen3(), tiny_qwen3()]
    told = [
        tune(Scorer(model), ROWS, settings(steps=20), seed=0, budget=budget)
        for model, budget in zip(models, (4, 100), strict=True)
    ]
    assert told[0].loss == pytest.approx(told[1].loss, rel=1e-6)
    assert torch.allclose(weights(models[0]), weights(models[1]), atol=1e-6)
    assert told[0].loss < tune(Scorer(tiny_qwen3()), ROWS, settings(steps=1), seed=0, budget=100).loss - 1


def test_a_loss_that_is_no_number_ends_it_with_a_sentence() -> None:
    model = tiny_qwen3()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"tuning.learning_rate = 0.01"):
        tune(Scorer(model), ROWS, settings(), seed=0, budget=100)
