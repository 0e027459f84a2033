"""The head against a plain log-softmax in float64: values, gradients, and the edges of the numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.policy.heads import assert_same, inputs, other_head, plain, with_gradients
from tokencredit.policy import head, token_stats


def test_log_prob_and_entropy_equal_their_definitions() -> None:
    hidden, weight, target = inputs()
    logprob, entropy = token_stats(hidden, weight, target, temperature=0.7)
    for row in range(len(hidden)):
        p = torch.softmax(hidden[row] @ weight.T / 0.7, 0)
        assert float(logprob[row]) == pytest.approx(float(p[target[row]].log()), abs=1e-12)
        assert float(entropy[row]) == pytest.approx(float(torch.distributions.Categorical(p).entropy()), abs=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("tiles")
def test_gradients_of_both_outputs_in_both_inputs_and_the_temperature() -> None:
    hidden, weight, target = inputs()
    temperature = torch.linspace(0.5, 1.5, len(hidden), dtype=torch.float64)
    arguments = (hidden.requires_grad_(), weight.requires_grad_(), temperature.requires_grad_())
    torch.autograd.gradcheck(lambda h, w, t: token_stats(h, w, target, t), arguments)


def test_a_second_derivative_is_refused() -> None:
    hidden, weight, target = inputs()
    logprob, _ = token_stats(hidden.requires_grad_(), weight, target)
    (gradient,) = torch.autograd.grad(logprob.square().sum(), hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("by_entropy", [0.0, 0.7])
def test_tiles_change_nothing(by_entropy: float) -> None:
    hidden, weight, target = inputs(rows=50)
    temperature = torch.linspace(0.5, 1.5, 50, dtype=torch.float64)
    ours = with_gradients(token_stats, hidden, weight, target, temperature, by_entropy)
    assert_same(ours, with_gradients(plain, hidden, weight, target, temperature, by_entropy), 1e-12)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_low_precision_inputs_give_float32_results(dtype: torch.dtype) -> None:
    hidden, weight, target = inputs(rows=20, dtype=dtype)
    ours = with_gradients(token_stats, hidden, weight, target, 0.9)
    assert [value.dtype for value in ours] == [torch.float32, torch.float32, dtype, dtype]
    exact = with_gradients(plain, hidden.double(), weight.double(), target, 0.9)
    assert_same(ours[:2], exact[:2], 2e-6)
    assert_same(ours[2:], exact[2:], 2e-6 + torch.finfo(dtype).eps)


def test_a_bfloat16_gradient_of_the_weight_is_rounded_once() -> None:
    """3000 terms of 2**-9 after a first of 1: each is lost where the running sum is held in bfloat16."""
    rows = 3001
    hidden = torch.full((rows, 1), 2.0**-9, dtype=torch.bfloat16)
    hidden[0] = 1.0
    weight = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    token_stats(hidden, weight, torch.zeros(rows, dtype=torch.int64))[0].sum().backward()
    exact = 0.5 * (1 + 3000 * 2.0**-9)
    torch.testing.assert_close(weight.grad.squeeze(1).double(), torch.tensor([exact, -exact]).bfloat16().double())


@pytest.mark.usefixtures("tiles")
def test_autocast_changes_nothing() -> None:
    hidden, weight, target = inputs(rows=20, dtype=torch.float32)
    without = with_gradients(token_stats, hidden, weight, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(with_gradients(token_stats, hidden, weight, target), without, 0.0)


def test_a_half_precision_state_meets_a_float32_weight() -> None:
    hidden, weight, target = inputs(rows=20, dtype=torch.float32)
    hidden = hidden.bfloat16()
    ours = with_gradients(token_stats, hidden, weight, target)
    assert [value.dtype for value in ours] == [torch.float32, torch.float32, torch.bfloat16, torch.float32]
    assert_same(ours[:2], list(plain(hidden.double(), weight.double(), target)), 2e-6)


@pytest.mark.usefixtures("tiles")
def test_a_certain_token_has_no_entropy_and_a_finite_gradient() -> None:
    hidden = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    logprob, entropy = token_stats(hidden, torch.eye(2), torch.tensor([0]))
    (logprob + entropy).sum().backward()
    assert float(logprob.detach()) == 0.0
    assert 0.0 <= float(entropy.detach()) < 1e-30
    assert torch.isfinite(hidden.grad).all()


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_large_logits_lose_no_digit(size: float) -> None:
    """Logits that float32 holds exactly, far from 0 but near each other: the results depend on their differences alone."""
    offsets = torch.tensor([0.0, -0.5, -1.0, -3.0, -2.0])
    hidden = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    weight = torch.stack([torch.full((5,), size), offsets], 1)
    target = torch.tensor([3, 1])
    logprob, entropy = token_stats(hidden, weight, target)
    exact = plain(torch.ones(2, 1).double(), offsets[:, None].double(), target)
    torch.testing.assert_close(logprob.double(), exact[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(entropy.double(), exact[1], atol=1e-6, rtol=0)


@pytest.mark.usefixtures("tiles")
def test_the_entropy_is_never_negative_and_keeps_its_digits_near_0() -> None:
    """One logit ahead of ten others by 5 to 80 nats: the entropy falls to 1e-32, and every one has its leading digits."""
    ahead = torch.linspace(5, 80, 40)
    weight = torch.eye(11)
    hidden = torch.zeros(40, 11)
    hidden[:, 4] = ahead
    entropy = token_stats(hidden, weight, torch.zeros(40, dtype=torch.int64))[1]
    odds = 10 * (-ahead.double()).exp()
    exact = odds.log1p() + ahead.double() * odds / (1 + odds)
    assert (entropy >= 0).all()
    torch.testing.assert_close(entropy.double(), exact, rtol=0.06, atol=0)
    torch.testing.assert_close(entropy.double(), exact, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("masked", [[0], [3, 10], [0, 1, 2, 3, 4, 5], list(range(1, 11))])
def test_a_masked_vocabulary_has_finite_entropy_and_gradients(masked: list[int]) -> None:
    """Rows of -inf in the weight, met by a state that is 1 there: their tokens are as good as absent."""
    hidden, weight, _ = inputs(rows=6, dtype=torch.float32)
    hidden[:, 0] = 1.0
    weight[masked, 0] = -torch.inf
    left = [token for token in range(11) if token not in masked]
    place = torch.arange(6) % len(left)
    ours = with_gradients(token_stats, hidden, weight, torch.tensor(left)[place])
    absent = with_gradients(plain, hidden.double(), weight[left].double(), place)
    assert_same([*ours[:3], ours[3][left]], absent, 2e-6)
    assert float(ours[3][masked].abs().max()) < 1e-30


@pytest.mark.usefixtures("tiles")
def test_logits_that_overflow_to_minus_infinity_are_masked_too() -> None:
    hidden = torch.tensor([[1e20, 1.0], [1.0, 1.0]])
    weight = torch.tensor([[-1e20, 0.0], [0.0, 1.0], [0.0, 2.0]])
    ours = with_gradients(token_stats, hidden, weight, torch.tensor([1, 2]))
    p = torch.softmax(torch.tensor([1.0, 2.0]).double(), 0)
    assert float(ours[0][0]) == pytest.approx(float(p[0].log()), abs=1e-6)
    assert float(ours[1][0]) == pytest.approx(float(-(p * p.log()).sum()), abs=1e-6)
    assert all(torch.isfinite(value).all() for value in ours)


def test_a_probability_that_the_processor_rounds_to_0_is_masked_too() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor keeps denormal numbers")
    try:
        hidden = torch.tensor([[1.0]])
        ours = with_gradients(token_stats, hidden, torch.tensor([[0.0], [0.0], [-200.0]]), torch.tensor([1]))
    finally:
        torch.set_flush_denormal(False)
    assert float(ours[1]) == pytest.approx(math.log(2), abs=1e-6)
    assert all(torch.isfinite(value).all() for value in ours)


@pytest.mark.usefixtures("tiles")
def test_logits_at_both_ends_of_float32() -> None:
    ours = with_gradients(token_stats, torch.ones(1, 1), torch.tensor([[2e38], [-2e38], [2e38]]), torch.tensor([2]))
    assert float(ours[0]) == pytest.approx(-math.log(2), abs=1e-6)
    assert float(ours[1]) == pytest.approx(math.log(2), abs=1e-6)
    assert all(torch.isfinite(value).all() for value in ours[3])


@pytest.mark.usefixtures("tiles")
def test_a_masked_target_is_impossible_and_a_vocabulary_all_masked_has_no_distribution() -> None:
    weight = torch.tensor([[0.0], [-torch.inf], [1.0]])
    logprob, entropy = token_stats(torch.ones(1, 1), weight, torch.tensor([1]))
    assert float(logprob) == -torch.inf
    assert torch.isfinite(entropy).all()
    for value in token_stats(torch.ones(1, 1), torch.full((3, 1), -torch.inf), torch.tensor([1])):
        assert torch.isnan(value).all()


@pytest.mark.usefixtures("tiles")
def test_a_vocabulary_of_one_token() -> None:
    hidden, weight, target = inputs(vocabulary=1)
    ours = with_gradients(token_stats, hidden, weight, target)
    assert_same(ours, [torch.zeros(7), torch.zeros(7), torch.zeros(7, 5), torch.zeros(1, 5)], 0.0)
    assert token_stats(hidden, weight, target, with_gap=True)[2].tolist() == [torch.inf] * 7


@pytest.mark.usefixtures("tiles")
def test_no_tokens() -> None:
    hidden, weight, target = inputs(rows=0)
    ours = with_gradients(token_stats, hidden, weight, target)
    assert_same(ours, [torch.zeros(0), torch.zeros(0), torch.zeros(0, 5), torch.zeros(11, 5)], 0.0)
    assert token_stats(hidden, weight, target, with_gap=True)[2].shape == (0,)


@pytest.mark.usefixtures("tiles")
def test_memory_order_changes_nothing() -> None:
    hidden, weight, target = inputs(rows=20)
    others = (hidden.T.contiguous().T, weight.repeat(1, 2)[:, :5], target.repeat_interleave(2)[::2])
    assert not any(value.is_contiguous() for value in others)
    assert_same(with_gradients(token_stats, *others), with_gradients(token_stats, hidden, weight, target), 1e-12)


@pytest.mark.usefixtures("tiles")
def test_the_gap_lies_between_the_two_likeliest_tokens() -> None:
    hidden, weight, target = inputs(rows=30)
    temperature = torch.linspace(0.5, 1.5, 30, dtype=torch.float64)
    weight[7] = weight[2]  # the same row twice: a gap of 0 where it is the likeliest
    weight.requires_grad_()
    logprob, entropy, gap = token_stats(hidden, weight, target, temperature, with_gap=True)
    first, second = (hidden @ weight.T / temperature[:, None]).log_softmax(-1).topk(2).values.unbind(1)
    torch.testing.assert_close(gap, (first - second).detach(), atol=1e-12, rtol=0)
    assert not gap.requires_grad
    assert logprob.requires_grad
    assert entropy.requires_grad


def test_mismatched_shapes_are_refused() -> None:
    hidden, weight, target = inputs()
    with pytest.raises(ValueError, match=r"hidden \[N, H\] and weight \[V, H\]"):
        token_stats(hidden, weight.T, target)
    with pytest.raises(ValueError, match="one target per row"):
        token_stats(hidden, weight, target[:-1])


@pytest.mark.parametrize("wrong", [-100, -1, 11])
def test_a_target_outside_the_vocabulary_is_refused(wrong: int) -> None:
    hidden, weight, target = inputs()
    target[3] = wrong
    with pytest.raises(ValueError, match=rf"targets from 0 to 10; got .*{wrong}"):
        token_stats(hidden, weight, target)


def test_a_gpus_products_are_in_tf32_under_autocast_alone() -> None:
    """What a GPU would do; the setting is a global one, and is put back."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    for device, low, expected in (("cuda", True, "tf32"), ("cuda", False, before), ("cpu", True, before)):
        with head._products(device, low):
            assert matmul.fp32_precision == expected
        assert matmul.fp32_precision == before


@pytest.mark.slow
@pytest.mark.usefixtures("tiles")
def test_a_bias_a_scale_and_a_soft_cap_with_all_their_gradients() -> None:
    hidden, weight, target = inputs()
    bias = torch.linspace(-1, 1, len(weight), dtype=torch.float64)
    temperature = torch.linspace(0.5, 1.5, len(hidden), dtype=torch.float64)
    leaves = [value.clone().requires_grad_() for value in (hidden, weight, temperature, bias)]

    def ours(h: Tensor, w: Tensor, t: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return token_stats(h, w, target, t, bias=b, scale=0.7, cap=1.5)

    expected = other_head(hidden, weight, target, temperature, bias, 0.7, 1.5)
    assert_same([*ours(*leaves)], [*expected], 1e-12)
    torch.autograd.gradcheck(ours, leaves)
    plain_bias = token_stats(hidden, weight, target, 0.7, bias=bias)
    assert_same([*plain_bias], [*other_head(hidden, weight, target, 0.7, bias, 1.0, 1e9)], 1e-7)
