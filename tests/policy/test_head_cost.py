"""What the head never makes: an array larger than a tile, a product for an input or a token that learns nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.policy.heads import assert_same, inputs, other_head, with_gradients
from tokencredit.policy import head, token_stats


class Seen(TorchDispatchMode):
    """What is computed while it is on: the size of the largest result, and the number of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.products = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.products += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_)
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor):
                self.largest = max(self.largest, value.numel())
        return result


def test_no_array_is_larger_than_a_tile_or_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_TILE_NUMBERS", 300)
    monkeypatch.setattr(head, "_TILE_TOKENS", 16)
    hidden, weight, target = inputs(rows=200, vocabulary=90)
    with Seen() as seen:
        with_gradients(token_stats, hidden, weight, target)
    assert seen.largest == hidden.numel() == 1000


def products(monkeypatch: pytest.MonkeyPatch, *, hidden_learns: bool, weight_learns: bool, tokens: float = 1.0) -> int:
    """Matrix products of one backward pass over 200 tokens in 4 x 3 tiles, of which a share has a gradient."""
    monkeypatch.setattr(head, "_TILE_NUMBERS", 50 * 30)
    monkeypatch.setattr(head, "_TILE_TOKENS", 50)
    hidden, weight, target = inputs(rows=200, vocabulary=90)
    logprob, _ = token_stats(hidden.requires_grad_(hidden_learns), weight.requires_grad_(weight_learns), target)
    with Seen() as seen:
        logprob[: int(200 * tokens)].sum().backward()
    assert (hidden.grad is not None, weight.grad is not None) == (hidden_learns, weight_learns)
    return seen.products


def test_a_frozen_input_costs_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    assert products(monkeypatch, hidden_learns=True, weight_learns=True) == 3 * 12
    assert products(monkeypatch, hidden_learns=True, weight_learns=False) == 2 * 12
    assert products(monkeypatch, hidden_learns=False, weight_learns=True) == 2 * 12


def test_tokens_without_a_gradient_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert products(monkeypatch, hidden_learns=True, weight_learns=True, tokens=0.5) == 3 * 6
    assert products(monkeypatch, hidden_learns=True, weight_learns=True, tokens=0.0) == 0


@pytest.mark.usefixtures("tiles")
def test_tokens_without_a_gradient_leave_those_of_the_others_as_they_are() -> None:
    hidden, weight, target = inputs(rows=20)

    def every_third(h: Tensor, w: Tensor, t: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        counts = (torch.arange(20) % 3 == 0).double()
        logprob, entropy = token_stats(h, w, t, temperature)
        return logprob * counts, entropy * counts

    def alone(h: Tensor, w: Tensor, t: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logprob, entropy = (torch.zeros(20, dtype=torch.float64) for _ in range(2))
        logprob[::3], entropy[::3] = token_stats(h[::3], w, t[::3], temperature)
        return logprob, entropy

    ours = with_gradients(every_third, hidden, weight, target)
    assert_same(ours, with_gradients(alone, hidden, weight, target), 1e-12)


def test_without_gradients_nothing_is_kept() -> None:
    hidden, weight, target = inputs()
    logprob, entropy = token_stats(hidden, weight, target)
    assert logprob.grad_fn is entropy.grad_fn is None
    with torch.no_grad():
        again = token_stats(hidden, weight.requires_grad_(), target)
    assert_same(list(again), [logprob, entropy], 0.0)
    assert again[0].grad_fn is None


@pytest.mark.usefixtures("tiles")
def test_tokens_without_a_gradient_are_left_out_of_such_a_head_too() -> None:
    hidden, weight, target = inputs()
    bias = torch.linspace(-1, 1, len(weight), dtype=torch.float64)
    found = []
    for stats in (lambda *a: token_stats(*a[:4], bias=a[4], scale=0.7, cap=1.5), lambda *a: other_head(*a, 0.7, 1.5)):
        leaves = [hidden.clone().requires_grad_(), weight.clone().requires_grad_(), bias.clone().requires_grad_()]
        (stats(leaves[0], leaves[1], target, 0.8, leaves[2])[0] * (torch.arange(len(target)) % 2)).sum().backward()
        found.append([leaf.grad for leaf in leaves])
    assert_same(*found, 1e-12)
