"""Drawing prompts, dynamic sampling, rewards and the flat batch."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
import torch

from tokencredit.config import Recipe, Sampling
from tokencredit.credit import assign
from tokencredit.errors import UserError
from tokencredit.records import Problem, Response, Rollout
from tokencredit.train.metrics import token_table
from tokencredit.train.rollouts import Prompts, RolloutBatch, Sampler, overlong_penalty

PROBLEMS = [Problem(f"p{index}", "x" * (index + 1), "1") for index in range(10)]
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_prompt_tokens=8, max_response_tokens=6)
DROPPING = Recipe(
    clip_low=0.2, clip_high=0.2, kl_coef=0, aggregation="token-mean", dynamic_sampling=True, max_refills=2
)
KEEPING = DROPPING.model_copy(update={"dynamic_sampling": False})


class Letters:
    """A tokenizer of one token per letter."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) for letter in text]


@dataclass
class Verdict:
    outcome: str


class FixedEngine:
    """Answers every request with its own seed, in a response of 1 to 6 tokens."""

    name = "fixed"

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.rounds = 0

    def sample(self, requests, *, temperature, top_p, max_tokens, progress=False, on_response):
        self.rounds += 1
        self.seeds += [request.seed for request in requests]
        responses = [
            Response(
                str(request.seed), (1,) * (1 + request.seed % max_tokens), "length" if request.seed % 6 == 5 else "stop"
            )
            for request in requests
        ]
        for place, response in enumerate(responses):
            on_response(place, response)
        return responses


class ByPrompt:
    """Grades by a table from the number of the answer in its call to an outcome."""

    def __init__(self, outcomes) -> None:
        self.outcomes = iter(outcomes)

    def grade_many(self, pairs):
        return [Verdict(next(self.outcomes)) for _ in pairs]


def sampler(outcomes, seed: int = 0, problems: list[Problem] = PROBLEMS) -> Sampler:
    prompts = Prompts(problems, Letters(), "{problem}", 8, seed)
    return Sampler(FixedEngine(), ByPrompt(outcomes), prompts, SAMPLING, group_size=2, seed=seed)


def groups(*kinds: str) -> list[str]:
    """Outcomes of groups of two: m mixed, r right, w wrong, u one ungraded and one right."""
    table = {"m": ["right", "wrong"], "r": ["right"] * 2, "w": ["wrong"] * 2, "u": ["ungraded", "right"]}
    return [outcome for kind in kinds for outcome in table[kind]]


def test_every_problem_comes_once_an_epoch_in_an_order_of_the_seed() -> None:
    prompts = Prompts(PROBLEMS, Letters(), "{problem}", 8, seed=1)
    assert (len(prompts), prompts.too_long) == (8, 2)
    epochs = [[prompts.draw(number)[0].problem_id for number in range(8 * epoch, 8 * epoch + 8)] for epoch in range(3)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert epochs[0] != epochs[1]
    again = Prompts(PROBLEMS, Letters(), "{problem}", 8, seed=1)
    assert again.draw(17)[0].problem_id == epochs[2][1]
    other = Prompts(PROBLEMS, Letters(), "{problem}", 8, seed=2)
    assert [other.draw(number)[0].problem_id for number in range(8)] != epochs[0]


def test_no_usable_prompt_is_an_error() -> None:
    with pytest.raises(UserError, match="at most 0 tokens"):
        Prompts(PROBLEMS, Letters(), "{problem}", 0, seed=1)


def test_without_dynamic_sampling_every_group_is_used() -> None:
    collected = sampler(groups("m", "r", "w")).collect(3, KEEPING, 0)
    assert (len(collected.groups), collected.drawn, collected.zero_variance, collected.refills) == (3, 3, 2, 0)
    assert (collected.right, collected.sampled) == (3, 6)


def test_dynamic_sampling_refills_until_full() -> None:
    collected = sampler(groups("m", "r", "w", "m", "m", "r")).collect(3, DROPPING, 4)
    assert (len(collected.groups), collected.drawn, collected.zero_variance, collected.refills) == (3, 9, 2, 1)
    assert all(len({rollout.outcome for rollout in group}) == 2 for group in collected.groups)


@pytest.mark.parametrize("mixed", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("refills", [1, 3, 9])
def test_draws_that_are_sampled_ahead_change_nothing_but_the_rounds(mixed: float, refills: int) -> None:
    """The draws are those of a plain loop that samples as many groups as are missing; rounds of sampling are fewer, or as many."""
    recipe, rng = DROPPING.model_copy(update={"max_refills": refills}), random.Random(f"{mixed} {refills}")
    problems = [Problem(f"p{number}", chr(1000 + number), "1") for number in range(100)]  # none comes twice
    for _ in range(20):
        kinds = ["m" if rng.random() < mixed else rng.choice("rw") for _ in problems]
        taken, rounds = 0, 0
        while (missing := 8 - kinds[:taken].count("m")) and rounds <= refills:
            taken, rounds = taken + missing, rounds + 1
        made = sampler(groups(*kinds), problems=problems)
        collected = made.collect(8, recipe, 0)
        used = [draw for draw in range(taken) if kinds[draw] == "m"]
        assert [group[0].problem_id for group in collected.groups] == [made.prompts.draw(n)[0].problem_id for n in used]
        assert (collected.drawn, collected.groups_sampled, collected.refills) == (taken, taken, rounds - 1)
        assert collected.right == 2 * kinds[:taken].count("r") + kinds[:taken].count("m")
        assert len(made.engine.seeds) == 2 * (taken + collected.groups_surplus)
        assert made.engine.rounds <= rounds


def test_dynamic_sampling_stops_at_its_bound() -> None:
    collected = sampler(itertools.repeat("wrong")).collect(3, DROPPING, 0)
    assert (collected.groups, collected.groups_sampled, collected.refills) == ([], 9, 2)


def test_an_ungraded_response_leaves_its_group_and_is_counted() -> None:
    collected = sampler(groups("u", "m")).collect(2, KEEPING, 0)
    assert collected.ungraded == 1
    assert [len(group) for group in collected.groups] == [2]
    assert all(rollout.outcome != "ungraded" for group in collected.groups for rollout in group)


def test_noise_belongs_to_the_draw_and_the_sample_not_to_the_call() -> None:
    one, two = sampler(itertools.repeat("right")), sampler(itertools.repeat("right"))
    one.collect(4, KEEPING, 0)
    two.collect(2, KEEPING, 0)
    two.collect(2, KEEPING, 2)
    assert one.engine.seeds == two.engine.seeds
    assert len(set(one.engine.seeds)) == 8
    other = sampler(itertools.repeat("right"), seed=5)
    other.collect(4, KEEPING, 0)
    assert not set(other.engine.seeds) & set(one.engine.seeds)


def test_the_soft_overlong_penalty() -> None:
    assert [overlong_penalty(length, 20, 10) for length in (1, 10, 15, 20)] == [0.0, 0.0, -0.5, -1.0]
    assert overlong_penalty(20, 20, 0) == 0.0
    rewarded = sampler(groups("m", "m")).collect(2, KEEPING.model_copy(update={"overlong_buffer": 6}), 0)
    for rollout in (rollout for group in rewarded.groups for rollout in group):
        plain = 1.0 if rollout.outcome == "right" else -1.0
        assert rollout.reward == pytest.approx(plain - len(rollout.response.token_ids) / 6)


def test_the_batch_lays_tokens_out_in_rows() -> None:
    collected = sampler(groups("m", "m")).collect(2, KEEPING, 0)
    batch = RolloutBatch(collected.groups)
    tokens = sum(len(sequence.response) for sequence in batch.sequences)
    signals = batch.signals(torch.zeros(tokens), torch.arange(tokens).float())
    assert signals.group.tolist() == [0, 0, 1, 1]
    assert signals.reward.tolist() == [1, -1, 1, -1]
    assert signals.advantage.tolist() == pytest.approx([2**-0.5, -(2**-0.5)] * 2)
    lengths = torch.bincount(signals.response).tolist()
    assert lengths == [len(sequence.response) for sequence in batch.sequences]
    assert signals.position.tolist() == [place for length in lengths for place in range(length)]


def test_a_right_response_whose_penalty_takes_its_whole_reward_is_still_right() -> None:
    right = Rollout("p", 0, (1,), Response("", (5,) * 6, "length"), "right", 1.0 + overlong_penalty(6, 6, 3))
    wrong = Rollout("p", 1, (1,), Response("", (5, 6), "stop"), "wrong", -1.0)
    batch = RolloutBatch([[right, wrong]])
    signals = batch.signals(torch.zeros(8), torch.zeros(8))
    assert signals.reward.tolist() == [0.0, -1.0]
    assert signals.right.tolist() == [True] * 6 + [False] * 2
    assert signals.select(torch.tensor([0]))[0].right.all()
    table = token_table(1, batch, signals, assign("grpo", signals), ["t"] * 8, 1)
    assert table["reward"].tolist() == [1.0] * 6 + [-1.0] * 2
