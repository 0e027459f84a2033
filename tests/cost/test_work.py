"""Operations against torch's own counter, and seconds that follow from what they are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tokencredit.config import Gpu
from tokencredit.cost.memory import SamplerSetup
from tokencredit.cost.quantity import Basis, Quantity, given
from tokencredit.cost.terms import Options, Terms
from tokencredit.cost.work import Lengths, evaluations, forward, sampling_seconds, update
from tokencredit.policy import Scorer, Sequence, add_lora
from tokencredit.train.processes import Processes
from tokencredit.train.sharding import trained_scorer

from .conftest import model_of, shape, study

PROMPT, RESPONSE, RESPONSES = 40, 360, 3
# So many words that the head needs several tiles, and computes its logits again.
WORDS = 4000
GPU = Gpu(title="GPU", memory_gib=80, bf16_tflops=300, tf32_tflops=150, fp32_tflops=20, bandwidth_gb_s=2000)


class Whole(Lengths):
    """Eager attention computes every pair of positions, those that the mask takes away too: twice what causal attention needs."""

    @property
    def context(self) -> Quantity:
        return self.sequence


LENGTHS = Whole(given(PROMPT), given(RESPONSE), RESPONSE)


def sequences() -> list[Sequence]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 390, (RESPONSES, PROMPT + RESPONSE), generator=generator).tolist()
    return [Sequence(tuple(row[:PROMPT]), tuple(row[PROMPT:])) for row in tokens]


def added_in_place(into: torch.Size, left: torch.Size, right: torch.Size, **_: object) -> int:
    """The head's products are added to a sum in place, which torch's counter does not know."""
    return 2 * left[0] * left[1] * right[1]


def counted(scorer: Scorer, backward: bool) -> int:
    with (
        FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: added_in_place}) as counter,
        torch.set_grad_enabled(backward),
    ):
        logprob, entropy = scorer(sequences())
        if backward:
            (logprob.sum() + entropy.sum()).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "changes", [{}, {"family": "qwen3", "tied_head": True}, {"layers": 6, "intermediate_size": 100}]
)
def test_a_scoring_pass_takes_the_operations_of_the_formula(changes: dict) -> None:
    architecture = shape(**changes)
    operations = forward(architecture, LENGTHS).total.value * RESPONSES
    assert operations == pytest.approx(counted(Scorer(model_of(architecture, "eager")), backward=False), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("adapter", [False, True])
def test_an_update_takes_the_operations_of_the_formula(checkpointing: bool, adapter: bool) -> None:
    architecture = shape(layers=8 if adapter else 3, vocabulary=WORDS)
    model = model_of(architecture, "eager").train()
    if adapter:
        add_lora(model, 1, 2, seed=0)
    training = study("toy", training__gradient_checkpointing=checkpointing).training
    operations = update(architecture, LENGTHS, checkpointing, adapter).total.value * RESPONSES
    # With frozen weights the formula leaves out the adapter's own products, and that nothing is asked of the first layer's input.
    close = 0.05 if adapter else 0.01
    assert operations == pytest.approx(counted(trained_scorer(model, training, Processes()), backward=True), rel=close)


def test_causal_attention_looks_at_half_the_sequence() -> None:
    plain = Lengths(given(PROMPT), given(RESPONSE), RESPONSE)
    attention = 4 * 3 * 4 * 24 * (PROMPT + RESPONSE) ** 2
    difference = forward(shape(), LENGTHS).total - forward(shape(), plain).total
    assert difference.value == pytest.approx(attention / 2)


def test_seconds_follow_from_the_utilisation_and_the_number_of_gpus() -> None:
    operations = forward(shape(), LENGTHS)
    half, whole = (operations.seconds(GPU, 1, True, Terms(Options(utilisation=share))) for share in (0.5, 1.0))
    assert half.value == pytest.approx(2 * whole.value)
    assert whole.basis == Basis.GIVEN
    assert operations.seconds(GPU, 1, True, Terms()).basis == Basis.ASSUMED
    expected = operations.layers.value / 300e12 + operations.head.value / 150e12
    assert whole.value == pytest.approx(expected)
    assert operations.seconds(GPU, 4, True, Terms(Options(utilisation=1.0))).value == pytest.approx(expected / 4)
    in_float32 = operations.seconds(GPU, 1, False, Terms(Options(utilisation=1.0)))
    assert in_float32.value == pytest.approx(operations.total.value / 20e12)


def test_decoding_takes_the_longest_of_reading_computing_and_launching() -> None:
    """A large model reads its weights in every step, a wide batch computes, a small model waits for its kernels to be launched."""
    large = shape(hidden_size=4096, layers=32, heads=32, head_size=128, intermediate_size=14336)
    setup = SamplerSetup(large, given(1), 1, 10, 100, width=2, nucleus=False)
    lengths, terms = Lengths(given(10), given(50), 100), Terms()

    def seconds(setup: SamplerSetup, responses: int) -> float:
        return sampling_seconds(setup, GPU, given(responses), lengths, terms).value

    reads = 100 * 2 * large.parameters + 50 * (10 + 25) * 2 * 32 * 256 * 2
    thin = GPU.model_copy(update={"bandwidth_gb_s": 1.0})
    assert sampling_seconds(setup, thin, given(1), lengths, terms).value == pytest.approx(reads / (0.6 * 1e9))
    slow = GPU.model_copy(update={"bf16_tflops": 0.001})
    computes = forward(large, lengths).total.value / (0.3 * 1e9)
    assert sampling_seconds(setup, slow, given(1), lengths, terms).value == pytest.approx(computes)
    small = replace(setup, model=shape())
    assert seconds(small, 1) == pytest.approx(100 * 3 * 1e-3)
    assert seconds(small, 2) == pytest.approx(2 * seconds(small, 1))
    assert seconds(replace(small, rows=given(2)), 2) == pytest.approx(seconds(small, 1))


def test_vllm_does_not_wait_for_the_longest_row() -> None:
    lengths = Lengths(given(10), given(50), 1000)
    setup = SamplerSetup(shape(layers=40, hidden_size=2048), given(8), 8, 10, 1000, width=2, nucleus=False)
    plain, vllm = (
        sampling_seconds(replace(setup, pool=pool), GPU, given(80), lengths, Terms()).value
        for pool in (None, given(1e9))
    )
    assert vllm < plain / 2


@pytest.mark.parametrize(("steps", "every", "expected"), [(30, 10, 4), (31, 10, 5), (3, 10, 2), (10, 1, 11)])
def test_evaluations_are_counted_as_the_loop_makes_them(steps: int, every: int, expected: int) -> None:
    made = [0, *(step for step in range(1, steps + 1) if step % every == 0 or step == steps)]
    assert evaluations(steps, every) == expected == len(made)
