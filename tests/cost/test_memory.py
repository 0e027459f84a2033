"""The formulas of memory against the code that they describe: live bytes of real passes, of real sampling, of real optimiser state."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch

from tokencredit.config import Architecture
from tokencredit.cost import terms
from tokencredit.cost.memory import (
    SamplerSetup,
    TrainingSetup,
    adapter_weights,
    cache_bytes,
    generation_memory,
    layer_activations,
    rows_that_fit,
    sampling_phases,
    training_memory,
)
from tokencredit.cost.quantity import given
from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.engines.cache import SamplingCache
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.policy import Sequence, add_lora
from tokencredit.records import Request
from tokencredit.train.processes import Processes
from tokencredit.train.sharding import trained_scorer

from .conftest import model_of, shape, study
from .tracking import LiveBytes

SHAPES = {
    "qwen2": shape(),
    "qwen3": shape(family="qwen3", tied_head=True),
    "llama": shape(family="llama"),
    "deep": shape(layers=8),
    "wide states": shape(hidden_size=256),
    "wide layers": shape(intermediate_size=1024),
    "more words": shape(vocabulary=3000),
}
PLAIN, ALL = (False, False), (True, True)
PASSES = [(name, *passes) for name in SHAPES for passes in (PLAIN, ALL)] + [
    ("qwen2", False, True),
    ("qwen3", True, False),
]


def sampler(architecture: Architecture, **changes: object) -> SamplerSetup:
    plain = SamplerSetup(architecture, given(64), prompts=8, prompt=32, response=16, width=4, nucleus=False)
    return replace(plain, **changes)


def trainer(architecture: Architecture, **changes: object) -> TrainingSetup:
    plain = TrainingSetup(
        model=architecture,
        sampler=sampler(architecture, rows=given(1), prompts=1, prompt=8, response=248),
        processes=1,
        on_gpu=True,
        width=4,
        tokens=1024,
        longest=256,
        lora_rank=0,
        frozen=(),
        attention_maps=False,
        shared_prompts=True,
        checkpointing=False,
        process=given(0),
    )
    return replace(plain, **changes)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_layer_keeps_the_bytes_that_the_formula_says(family: str, mixed: bool) -> None:
    def kept(architecture: Architecture) -> int:
        model = model_of(architecture).train()
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        seen = {}

        def see(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if (
                storage.data_ptr() not in weights and tokens in (tensor.shape[0], tensor.numel() // tensor.shape[-1])
            ) or tensor.ndim == 4:
                seen[storage.data_ptr()] = storage
            return tensor

        ids = torch.zeros(3, 34, dtype=torch.long)
        tokens = ids.numel()
        with (
            torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False),
        ):
            model.get_decoder()(input_ids=ids, use_cache=False)
        return sum(storage.nbytes() for storage in seen.values()) // tokens

    one, three = (kept(shape(family=family, layers=layers)) for layers in (1, 3))
    assert layer_activations(shape(family=family), 2 if mixed else 4) == pytest.approx((three - one) / 2, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mixed", "checkpointing"), PASSES)
def test_the_peak_of_an_update_is_the_one_of_real_passes(name: str, mixed: bool, checkpointing: bool) -> None:
    """Two micro-batches of the trainer's own scorer: the second one's peak comes while the first one's gradients are there."""
    architecture = SHAPES[name]
    training = study(
        "toy", training__mixed_precision="bf16" if mixed else "no", training__gradient_checkpointing=checkpointing
    ).training
    model = model_of(architecture).train()
    scorer = trained_scorer(model, training, Processes())
    sequences = [Sequence(tuple(range(1, 9)), tuple(range(1, 249))) for _ in range(4)]
    optimizer = torch.optim.AdamW(model.parameters())
    sum(part.sum() for part in scorer(sequences)).backward()
    optimizer.step()
    optimizer.zero_grad()
    state = [value for values in optimizer.state.values() for value in values.values()]
    with LiveBytes([*model.parameters(), *state]) as live:
        for _ in range(2):
            sum(part.sum() for part in scorer(sequences)).backward()
    memory = training_memory(trainer(architecture, width=2 if mixed else 4, checkpointing=checkpointing))
    assert memory.always.value == pytest.approx(12 * architecture.parameters)
    assert 0.98 * live.peak <= memory.needs("update").value <= 1.05 * live.peak


@pytest.mark.slow
@pytest.mark.parametrize(
    ("largest", "width", "nucleus"),
    [
        ("cache", 4, False),
        ("vocabulary", 4, False),
        ("vocabulary", 4, True),
        ("vocabulary", 2, True),
        ("prompts", 2, False),
    ],
)
@pytest.mark.parametrize("cast", [False, True])
def test_the_peak_of_sampling_is_the_one_of_the_engine(largest: str, width: int, nucleus: bool, cast: bool) -> None:
    if cast and width == 4:
        pytest.skip("only a width below the weights' is cast to")
    architecture = shape(vocabulary=8000 if largest == "vocabulary" else 195)
    prompts, prompt, response = {"cache": (8, 8, 90), "vocabulary": (8, 32, 8), "prompts": (64, 128, 4)}[largest]
    model = model_of(architecture).to(torch.bfloat16 if width == 2 and not cast else torch.float32).eval()
    engine = TransformersEngine(model, build_tokenizer(), batch_size=64, autocast=torch.bfloat16 if cast else None)
    engine.end_tokens = frozenset()
    # One prompt is shorter: prompts of one length need no mask.
    requests = [
        Request(tuple(2 + (row % prompts + place) % 190 for place in range(prompt - (row % prompts == 0))), row)
        for row in range(64)
    ]
    engine.tokenizer.decode = lambda *_, **__: ""  # some of the tokens are no words
    with LiveBytes(list(model.parameters())) as live:
        engine.sample(requests, temperature=1.0, top_p=0.9 if nucleus else 1.0, max_tokens=response)
    setup = sampler(architecture, prompts=prompts, prompt=prompt, response=response, width=width, nucleus=nucleus)
    # No row ends early here, so no layer of the cache is copied.
    copy = setup.rows.value * (prompt + response) * cache_bytes(architecture, width) / architecture.layers
    memory = generation_memory(replace(setup, cast=cast), given(0), on_gpu=True)
    expected = (2 * architecture.parameters if cast else 0) + max(
        memory.needs("prefill").value, memory.needs("decoding").value - copy
    )
    assert 0.98 * live.peak <= expected <= 1.07 * live.peak


def test_the_cache_holds_what_the_formula_says() -> None:
    architecture = shape(family="qwen3")
    cache = SamplingCache(architecture.layers, capacity=10)
    model_of(architecture)(input_ids=torch.zeros(7, 4, dtype=torch.long), past_key_values=cache, use_cache=True)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == 7 * 10 * cache_bytes(architecture, 4)


@pytest.mark.slow
def test_an_adapter_has_the_weights_that_the_formula_says() -> None:
    architecture = shape()
    model = model_of(architecture)
    add_lora(model, 4, 8, seed=0)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained == adapter_weights(architecture, 4)
    memory = training_memory(trainer(architecture, lora_rank=4))
    assert memory.always.value == 4 * architecture.parameters + 12 * trained
    assert adapter_weights(architecture, 0) == 0


def test_the_engine_decodes_as_many_rows_as_is_assumed() -> None:
    assert inspect.signature(TransformersEngine).parameters["batch_size"].default == terms.SAMPLER_ROWS


def test_rows_that_fit_fit_and_one_more_does_not() -> None:
    setup = sampler(shape())

    def needs(rows: int) -> float:
        parts = sampling_phases(replace(setup, rows=given(rows)))["decoding"]
        return sum(part.bytes.value for part in parts)

    rows = rows_that_fit(setup, 1e6)
    assert rows > 1
    assert needs(rows) <= 1e6 < needs(rows + 1)
    assert rows_that_fit(setup, 10) == 0


def test_processes_share_what_is_trained_and_keep_the_policy_whole() -> None:
    architecture = shape()
    alone, shared = (training_memory(trainer(architecture, processes=count)) for count in (1, 4))
    sizes = [{part.name: part.bytes.value for part in memory.resident} for memory in (alone, shared)]
    assert sizes[1].pop("the policy in one piece, float32") == 4 * architecture.parameters
    assert {name: size / 4 for name, size in sizes[0].items()} == sizes[1]
    assert shared.needs("start").value >= 8 * architecture.parameters


def test_a_reference_and_a_teacher_are_there_all_the_time() -> None:
    architecture, teacher = shape(), shape(layers=5)
    without, beside = (
        training_memory(trainer(architecture, frozen=frozen)) for frozen in ((), (architecture, teacher))
    )
    assert beside.always.value - without.always.value == 4 * (architecture.parameters + teacher.parameters)


def test_attention_maps_are_a_phase_of_their_own() -> None:
    memory = training_memory(trainer(shape(), attention_maps=True))
    assert memory.needs("attention maps").value - memory.always.value == 12 * 4 * 256 * 1024


def test_on_the_cpu_phases_add_up() -> None:
    on_gpu, on_cpu = (training_memory(trainer(shape(), on_gpu=gpu, process=given(1000))) for gpu in (True, False))
    phases = [on_gpu.needs(phase).value - on_gpu.always.value for phase in ("prefill", "decoding", "update")]
    assert on_cpu.peak.value == pytest.approx(on_gpu.always.value + 1000 + sum(phases))
    assert on_gpu.peak.value == max(on_gpu.needs(phase).value for phase in on_gpu.phases)


def test_a_large_model_leaves_fragments_on_the_heap() -> None:
    large = shape(vocabulary=400_000)
    on_gpu, on_cpu = (training_memory(trainer(large, on_gpu=gpu)) for gpu in (True, False))
    added = [on_gpu.needs(phase).value - on_gpu.always.value for phase in ("prefill", "decoding", "update")]
    assert large.parameters > 10**7
    assert on_cpu.peak.value == pytest.approx(on_gpu.always.value + sum(added) + added[-1] / 2)


def test_vllm_takes_its_share_and_sleeps_in_the_update() -> None:
    architecture = shape()
    setup = trainer(architecture)
    plain = training_memory(setup)
    memory = training_memory(replace(setup, sampler=replace(setup.sampler, pool=given(7e6))))
    assert memory.needs("sampling").value == memory.always.value + 7e6
    assert memory.needs("update") == plain.needs("update")
