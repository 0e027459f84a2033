"""The canary on an engine that is told what to say: which disagreements stop a run, and which are noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tokencredit.config import Sampling
from tokencredit.engines.canary import (
    BOUNDS,
    PROMPTS,
    UNLIKELY,
    Canary,
    Reading,
    canary_sequences,
    crossing_sequences,
    judge,
)
from tokencredit.errors import UserError
from tokencredit.policy import Sequence
from tokencredit.records import Response

SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_prompt_tokens=4, max_response_tokens=2)
SEQUENCES = [Sequence((1, 2), (3, 4)), Sequence((5,), (6,))]
START = torch.tensor([-1.0, -0.2, -3.0])
MOVE = torch.tensor([0.3, -0.2, 0.5])


class SomeEngine:
    """An engine whose copy of the weights is its log-probs themselves; ``stale`` says which of its tokens a push passes over."""

    name = "some"

    def __init__(self, noise: float = 0.0, stale: Tensor | None = None) -> None:
        self.values, self.noise, self.scored = START, noise, 0
        self.stale = torch.zeros(3, dtype=torch.bool) if stale is None else stale

    def push_weights(self, weights) -> None:
        ((_, values),) = weights
        self.values = torch.where(self.stale, self.values, values)

    def score(self, sequences: list[Sequence]) -> Tensor:
        assert sequences == SEQUENCES
        self.scored += 1
        wobble = torch.tensor([1.0, -1.0, 1.0]) * (1 if self.scored % 2 else -1)
        return self.values + self.noise * wobble

    def sample(self, requests, *, temperature, top_p, max_tokens):
        assert (temperature, top_p, max_tokens) == (0.7, 1.0, 2)
        return [Response("", (request.prompt_tokens[0], request.seed % 7), "length") for request in requests]


def run(engine: SomeEngine, moves: list[Tensor], bound: float = BOUNDS["no"]) -> list[dict[str, float]]:
    """Check once, then move the trainer by each of ``moves`` and push."""
    now = START.clone()
    canary = Canary(engine, lambda sequences: now.clone(), SEQUENCES, bound)
    readings = [canary.check("at the start")]
    for step, move in enumerate(moves, start=1):
        now += move
        readings.append(canary.push([("values", now.clone())], f"step {step}"))
    return readings


def test_an_engine_that_follows_is_left_alone_and_measured() -> None:
    assert run(SomeEngine(), [MOVE, -MOVE, 0 * MOVE]) == [{"canary_mean": 0.0, "canary_max": 0.0}] * 4
    (*_, last) = run(SomeEngine(noise=0.004), [MOVE] * 5)
    assert last == pytest.approx({"canary_mean": 0.004, "canary_max": 0.004}, rel=1e-3)


@pytest.mark.parametrize("precision", BOUNDS)
def test_noise_below_the_bound_passes_and_above_it_stops(precision: str) -> None:
    bound = BOUNDS[precision]
    run(SomeEngine(noise=0.9 * bound), [MOVE / 100] * 20, bound)
    with pytest.raises(UserError, match=r"at the start: .* nats from the trainer's on average; .* is allowed"):
        run(SomeEngine(noise=1.1 * bound), [], bound)


def test_weights_that_are_not_taken_over_stop_the_run_at_once() -> None:
    with pytest.raises(UserError, match=r"step 1: the engine's log-probs of 3 fixed tokens are 0\.333 nats"):
        run(SomeEngine(stale=torch.ones(3, dtype=torch.bool)), [MOVE])


def test_small_moves_that_are_not_followed_add_up() -> None:
    """Each stays below the bound of low precision and below the noise; in time they are seen, and well before they reach the bound."""
    stale = torch.ones(3, dtype=torch.bool)
    with pytest.raises(
        UserError, match=r"step (\d): since at the start the trainer's .* by 0.0\d+ nats, the engine's by 0.00"
    ) as caught:
        run(SomeEngine(noise=0.004, stale=stale), [MOVE / 40] * 10, BOUNDS["bf16"])
    assert "step 1:" not in str(caught.value)
    run(SomeEngine(noise=0.004), [MOVE / 40] * 10, BOUNDS["bf16"])


def test_a_part_that_stays_behind_is_seen() -> None:
    """As a stale head: the other weights are new, so the engine moves, but not as the trainer does."""
    with pytest.raises(UserError, match="or from some old ones"):
        run(SomeEngine(stale=torch.tensor([False, False, True])), [MOVE / 6], BOUNDS["bf16"])


def test_the_anchor_moves_on_once_a_move_was_followed() -> None:
    start = Reading("start", START, START)
    small = Reading("small", START + MOVE / 1000, START + MOVE / 1000)
    large = Reading("large", START + MOVE, START + MOVE)
    assert judge(start, None, 0.1) is start
    assert judge(small, start, 0.1) is start
    assert judge(large, start, 0.1) is large


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_not_finite_stops_the_run(value: float) -> None:
    broken = START.clone()
    broken[0] = value
    for pair in ((broken, START), (START, broken)):
        with pytest.raises(UserError, match="not all finite"):
            judge(Reading("step 1", *pair), None, 1.0)


def test_what_is_watched_is_fixed_by_the_prompts() -> None:
    prompts = [(1, 2), (1, 2), (3,), (4,), (5,), (6,)]
    watched = canary_sequences(SomeEngine(), prompts, 50, SAMPLING)
    assert watched == canary_sequences(SomeEngine(), iter(prompts), 50, SAMPLING)
    assert [sequence.prompt for sequence in watched[:PROMPTS]] == [(1, 2), (3,), (4,), (5,)]
    assert [sequence.prompt for sequence in watched[PROMPTS:]] == [p for p in prompts[1:5] for _ in range(UNLIKELY)]
    assert all(len(sequence.response) == 1 and 0 <= sequence.response[0] < 50 for sequence in watched[PROMPTS:])


def test_what_is_watched_crosses_the_lengths_beyond_which_the_model_computes_otherwise() -> None:
    crossing = crossing_sequences([(1, 2, 3), (4, 5)], [6, 40], longest=42)
    assert [len(each) for each in crossing] == [10, 42]
    assert [len(each.prompt) for each in crossing] == [2, 34]
    assert crossing[0].prompt + crossing[0].response == (1, 2, 3, 4, 5, 1, 2, 3, 4, 5)
