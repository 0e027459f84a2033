"""Which responses meet in one update: scattered or by prompt, and both verdicts among them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.credit.conftest import make_signals
from tests.train.test_rollouts import KEEPING, groups, sampler
from tokencredit.credit import group_advantage
from tokencredit.records import Response, Rollout
from tokencredit.train.batching import balanced, lacking, minibatches
from tokencredit.train.rollouts import RolloutBatch


def rollouts(*kinds: str) -> list[list[Rollout]]:
    """Groups of responses, + a right one, - a wrong one."""
    return [
        [
            Rollout(
                f"p{number}", place, (1,), Response("", (2,), "stop"), *{"+": ("right", 1.0), "-": ("wrong", -1.0)}[own]
            )
            for place, own in enumerate(kind)
        ]
        for number, kind in enumerate(kinds)
    ]


def test_together_groups_are_whole_and_scattered_they_are_not() -> None:
    signals = make_signals(groups=4, group_size=8)
    whole = minibatches(signals, 2, True, 0, 1)
    assert [part.tolist() for part in whole] == [list(range(16)), list(range(16, 32))]
    scattered = minibatches(signals, 2, False, 0, 1)
    assert [len(part) for part in scattered] == [16, 16]
    assert torch.cat(scattered).sort().values.tolist() == list(range(32))
    assert all(len(signals.group[part].unique()) == 4 for part in scattered)
    assert all((part.diff() > 0).all() for part in scattered)
    again, later, other = (minibatches(signals, 2, False, *key)[0] for key in ((0, 1), (0, 2), (1, 1)))
    assert torch.equal(again, scattered[0])
    assert not torch.equal(later, again)
    assert not torch.equal(other, again)


def test_an_odd_number_of_groups_makes_as_many_updates_either_way() -> None:
    signals = make_signals(groups=3, group_size=4)
    assert [len(part) for part in minibatches(signals, 2, True, 0, 1)] == [8, 4]
    assert [len(part) for part in minibatches(signals, 2, False, 0, 1)] == [6, 6]


@given(
    kinds=st.lists(st.text("+-", min_size=2, max_size=6), min_size=1, max_size=8),
    share=st.sampled_from([0.1, 0.25, 0.5]),
)
def test_both_verdicts_have_their_share(kinds: list[str], share: float) -> None:
    """min(N+, N-) >= share N, of as many responses as that allows, the earliest of each verdict."""
    made, size = rollouts(*kinds), 8
    kept = balanced(made, size, share)
    verdicts = ["".join(kind[place] for place in places) for kind, places in zip(kinds, kept, strict=True)]
    right, wrong = ("".join(verdicts).count(mark) for mark in "+-")
    assert min(right, wrong) >= share * (right + wrong) - 1e-9
    assert right + wrong <= size
    if not lacking(made, size, share):
        assert right + wrong == min(size, sum(map(len, kinds)))
    whole = "".join(kinds)
    flat = [
        mark for kind, places in zip(kinds, kept, strict=True) for place, mark in enumerate(kind) if place in places
    ]
    assert len(flat) == right + wrong
    for mark, number in (("+", right), ("-", wrong)):
        rows = [row for row, own in enumerate(whole) if own == mark][:number]
        starts = [sum(map(len, kinds[:group])) for group in range(len(kinds))]
        assert rows == [
            start + place
            for start, kind, places in zip(starts, kinds, kept, strict=True)
            for place in places
            if kind[place] == mark
        ]


def test_what_is_balanced_already_stays_as_it_is() -> None:
    made = rollouts("+-", "-+", "+-")
    assert balanced(made, 6, 0.5) == [[0, 1]] * 3
    assert lacking(made, 6, 0.5) == 0
    assert lacking(rollouts("--", "-+"), 4, 0.5) == 1


def test_prompts_are_sampled_until_the_rarer_verdict_has_its_share() -> None:
    """Of two prompts' responses one in four is right; a third prompt brings another, and a wrong one gives way."""
    engine = sampler(groups("w", "m", "m"))
    engine.balance = 0.5
    collected = engine.collect(2, KEEPING, 0)
    assert (collected.drawn, collected.refills, collected.sampled) == (3, 1, 6)
    assert [[rollout.outcome for rollout in group] for group in collected.groups] == [
        ["wrong"] * 2,
        ["right"],
        ["right"],
    ]
    batch = RolloutBatch(collected.groups, collected.advantages)
    half = float(group_advantage(torch.tensor([1.0, -1.0]), torch.tensor([0, 0]))[0])
    assert batch.advantage.tolist() == pytest.approx([0.0, 0.0, half, half])
    ones = torch.ones(len(batch.position))
    assert torch.equal(batch.signals(-ones, ones).advantage, batch.advantage)


def test_where_one_verdict_never_comes_nothing_is_learned_from() -> None:
    engine = sampler(["wrong"] * 200)
    engine.balance = 0.25
    collected = engine.collect(2, KEEPING, 0)
    assert collected.groups == []
    assert collected.refills == 10


def test_without_the_keys_nothing_is_left_out() -> None:
    collected = sampler(groups("w", "m")).collect(2, KEEPING, 0)
    assert collected.advantages is None
    batch = RolloutBatch(collected.groups)
    assert torch.equal(batch.advantage, group_advantage(batch.reward, batch.group))
    assert dataclasses.asdict(collected)["groups_sampled"] == 2
