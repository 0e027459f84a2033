"""Padding and packing are not seen by any method: its credit belongs to the token."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

from tokencredit.adapters.padded import PER_TOKEN, signals_from_padded, to_padded
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, group_advantage
from tokencredit.credit.signals import VECTORS


@dataclass(frozen=True)
class Responses:
    """Ragged responses with every column there is, each a list of one tensor per response."""

    reward: Tensor
    group: Tensor
    columns: dict[str, list[Tensor]]

    @property
    def lengths(self) -> list[int]:
        return [len(values) for values in self.columns["entropy"]]


def some_responses(seed: int) -> Responses:
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(3).repeat_interleave(4)
    reward = torch.tensor([1.0, -1.0, -1.0, -1.0] * 2 + [1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    lengths = torch.randint(1, 9, (len(group),), generator=generator).tolist()
    draw: dict[str, Callable[[Tensor], Tensor]] = {
        "entropy": lambda u: 2 * u**3,
        "residual_norm": lambda u: 5 * u,
        "attention_entropy": lambda u: u,
        "noise": lambda u: u,
    }

    def shape(length: int, name: str) -> tuple[int, ...]:
        return (length, 2) if name in VECTORS else (length,)

    columns = {
        name: [
            draw.get(name, lambda u: -3 * u)(torch.rand(shape(length, name), generator=generator, dtype=torch.float64))
            for length in lengths
        ]
        for name in PER_TOKEN
    }
    return Responses(reward, group, columns)


def padded(responses: Responses, order: list[int], left: list[int], width: int) -> tuple[Tensor, TokenSignals]:
    """The responses in ``order``, each behind ``left`` empty places, in rows of ``width`` more than is needed; empty places hold NaN."""
    lengths = responses.lengths
    mask = torch.zeros(len(order), max(map(sum, zip(lengths, left, strict=True))) + width, dtype=torch.bool)
    columns = {
        name: torch.full((*mask.shape, *values[0].shape[1:]), torch.nan, dtype=torch.float64)
        for name, values in responses.columns.items()
    }
    for row, index in enumerate(order):
        place = slice(left[index], left[index] + lengths[index])
        mask[row, place] = True
        for name in PER_TOKEN:
            columns[name][row, place] = responses.columns[name][index]
    advantage = group_advantage(responses.reward, responses.group)
    signals = signals_from_padded(
        mask,
        reward=responses.reward[order],
        advantage=advantage[order],
        group=responses.group[order],
        progress=0.25,
        entropy_history=torch.tensor([0.5, 0.75], dtype=torch.float64),
        **columns,
    )
    return mask, signals


def packed(responses: Responses) -> TokenSignals:
    """The same responses one after the other, without any padding."""
    lengths = torch.tensor(responses.lengths)
    return TokenSignals(
        response=torch.arange(len(lengths)).repeat_interleave(lengths),
        position=torch.cat([torch.arange(length) for length in responses.lengths]),
        reward=responses.reward,
        advantage=group_advantage(responses.reward, responses.group),
        group=responses.group,
        progress=0.25,
        entropy_history=torch.tensor([0.5, 0.75], dtype=torch.float64),
        **{name: torch.cat(values) for name, values in responses.columns.items()},
    )


def in_padding(credit: TokenCredit, mask: Tensor) -> dict[str, Tensor]:
    return {name: to_padded(value.double(), mask, torch.nan) for name, value in credit.per_token.items()}


@cache
def laid_out(seed: int) -> tuple[list[int], Tensor, TokenSignals, Responses]:
    """Random responses, and the same behind random empty places in random order."""
    responses, dice = some_responses(seed), random.Random(seed)
    count = len(responses.reward)
    order, left = dice.sample(range(count), count), [dice.randint(0, 6) for _ in range(count)]
    return order, *padded(responses, order, left, width=seed), responses


@pytest.mark.parametrize("name", METHODS)
def test_padding_and_row_order_change_nothing(name: str) -> None:
    for seed in range(3):
        order, mask, signals, responses = laid_out(seed)
        obtained, expected = in_padding(assign(name, signals), mask), assign(name, packed(responses)).per_token
        assert obtained.keys() == expected.keys()
        ends = torch.tensor([0, *responses.lengths]).cumsum(0)
        for field, values in obtained.items():
            own = torch.cat([expected[field][ends[index] : ends[index + 1]] for index in order]).double()
            torch.testing.assert_close(values[mask], own, atol=1e-10, rtol=0)


def test_a_mask_with_holes_counts_places_from_zero() -> None:
    mask = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
    entropy = torch.arange(12.0).reshape(3, 4)
    reward = torch.tensor([1.0, -1.0, 1.0])
    signals = signals_from_padded(
        mask, reward=reward, advantage=reward, group=torch.zeros(3).long(), entropy=entropy, old_logprob=-entropy
    )
    assert signals.position.tolist() == [0, 1, 2, 0, 1]
    assert signals.response.tolist() == [0, 0, 0, 2, 2]
    assert signals.entropy.tolist() == [0.0, 2.0, 3.0, 9.0, 11.0]
    assert torch.equal(to_padded(signals.entropy, mask), entropy * mask)
    assert torch.equal(to_padded(signals.right, mask, False), mask.bool())


def test_nothing_carries_a_gradient_in_and_everything_does_out() -> None:
    mask = torch.ones(1, 2).bool()
    entropy = torch.rand(1, 2, requires_grad=True)
    one = torch.ones(1)
    signals = signals_from_padded(
        mask, reward=one, advantage=one, group=one.long(), entropy=entropy, old_logprob=entropy
    )
    assert not signals.entropy.requires_grad
    values = torch.ones(2, requires_grad=True)
    to_padded(values, mask).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 1.0]


def test_wrong_shapes_and_names_are_refused() -> None:
    mask, column, row = torch.ones(2, 3).bool(), torch.zeros(2, 3), torch.ones(2)
    given_columns = {"reward": row, "advantage": row, "group": row.long(), "entropy": column, "old_logprob": column}
    with pytest.raises(ValueError, match="'entropi' is not a column"):
        signals_from_padded(mask, **given_columns, entropi=column)
    with pytest.raises(ValueError, match="noise has shape"):
        signals_from_padded(mask, **given_columns, noise=row)
    with pytest.raises(ValueError, match=r"mask has shape \(3,\)"):
        signals_from_padded(mask[0], **given_columns)
    with pytest.raises(ValueError, match="6 true places"):
        to_padded(torch.zeros(5), mask)
