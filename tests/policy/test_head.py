from __future__ import annotations

import pytest
import torch

from tokencredit.policy import head, token_stats


def inputs(
    rows: int = 7, width: int = 5, vocabulary: int = 11, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    hidden = torch.randn(rows, width, generator=random, dtype=torch.float64).to(dtype)
    weight = torch.randn(vocabulary, width, generator=random, dtype=torch.float64).to(dtype)
    return hidden, weight, torch.randint(0, vocabulary, (rows,), generator=random)


def test_log_prob_and_entropy_equal_their_definitions() -> None:
    hidden, weight, target = inputs()
    logprob, entropy = token_stats(hidden, weight, target, temperature=0.7)
    for row in range(len(hidden)):
        p = torch.softmax(hidden[row] @ weight.T / 0.7, 0)
        assert float(logprob[row]) == pytest.approx(float(p[target[row]].log()), abs=1e-12)
        assert float(entropy[row]) == pytest.approx(float(torch.distributions.Categorical(p).entropy()), abs=1e-12)


def test_gradients_of_both_outputs_in_both_inputs() -> None:
    hidden, weight, target = inputs()
    temperature = torch.linspace(0.5, 1.5, len(hidden), dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda h, w: token_stats(h, w, target, temperature), (hidden.requires_grad_(), weight.requires_grad_())
    )


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, target = inputs(rows=50)
    temperature = torch.linspace(0.5, 1.5, 50)

    def run() -> list[torch.Tensor]:
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        logprob, entropy = token_stats(h, w, target, temperature)
        (logprob.sum() + 2 * entropy.sum()).backward()
        return [logprob.detach(), entropy.detach(), h.grad, w.grad]

    whole = run()
    monkeypatch.setattr(head, "_CHUNK_NUMBERS", 11 * 8)
    for one, other in zip(whole, run(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_bf16_weights_give_float32_results() -> None:
    hidden, weight, target = inputs(dtype=torch.bfloat16)
    logprob, entropy = token_stats(hidden, weight, target)
    exact = token_stats(hidden.double(), weight.double(), target)
    assert (logprob.dtype, entropy.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(logprob.double(), exact[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropy.double(), exact[1], atol=1e-5, rtol=1e-5)


def test_a_certain_token_has_no_entropy_and_a_finite_gradient() -> None:
    hidden = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    logprob, entropy = token_stats(hidden, torch.eye(2), torch.tensor([0]))
    (logprob + entropy).sum().backward()
    assert float(entropy.detach()) == 0.0
    assert torch.isfinite(hidden.grad).all()


def test_mismatched_shapes_are_refused() -> None:
    hidden, weight, target = inputs()
    with pytest.raises(ValueError, match=r"hidden \[N, H\] and weight \[V, H\]"):
        token_stats(hidden, weight.T, target)
    with pytest.raises(ValueError, match="one target per row"):
        token_stats(hidden, weight, target[:-1])
