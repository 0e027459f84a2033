"""Peak memory of one GPU, or of one process on the CPU: what is always allocated, and what each phase of a job adds.

P weights, of which T are trained; n processes that share weights, gradients and moments evenly (full sharding), each with the policy in one
piece beside its share, to sample from; w bytes of a number (2 in bfloat16, 4 in float32); L layers; h, q, k and f the widths of the
residual stream, the queries, the keys and the feed-forward; V the vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tokencredit.config import Architecture
from tokencredit.cost.quantity import Quantity, assumed, given, largest, total

GIB = 2**30
# Numbers that the head holds at most, in float32: six arrays of a tile of tokens x vocabulary, or four where one tile is all there is.
_HEAD_NUMBERS = 6 * 2**22
# What glibc keeps on the CPU in pieces between the arrays of an update, as a share of them. Measured: 0.2 to 0.4 with 50 million weights,
# 0.6 with 135 million, nothing up to 5 million.
_FRAGMENTS, _UNBROKEN = 0.5, 10**7


@dataclass(frozen=True)
class Part:
    """Something that lies in memory, in bytes."""

    name: str
    bytes: Quantity


@dataclass(frozen=True)
class Memory:
    """What always lies in memory, and what each phase adds to it. Phases follow one another: the largest makes the peak."""

    resident: tuple[Part, ...]
    phases: dict[str, tuple[Part, ...]]

    @property
    def always(self) -> Quantity:
        """The bytes that always lie there."""
        return _sum(self.resident)

    def needs(self, phase: str) -> Quantity:
        """The bytes at the peak of a phase."""
        return self.always + _sum(self.phases[phase])

    @property
    def peak(self) -> Quantity:
        """The bytes at the peak of the job."""
        return largest([self.needs(phase) for phase in self.phases])

    def on_heap(self) -> Memory:
        """The same on the CPU, whose allocator keeps what a phase frees and seldom finds use for it: all phases add up."""
        everything = [part for parts in self.phases.values() for part in parts]
        return Memory(self.resident, {"all phases": tuple(everything)})


@dataclass(frozen=True)
class SamplerSetup:
    """What decides the memory of sampling: ``rows`` decoded together, with room for ``prompt`` + ``response`` tokens each.

    ``prompts``: how many of the rows' prompts differ; ``width``: bytes of a number; ``nucleus``: whether top-p cuts the distribution, which
    sorts it. ``pool``: the bytes that vLLM takes for weights and cache; None for the transformers engine, whose weights are there already,
    ``cast`` to ``width`` while it samples or not.
    """

    model: Architecture
    rows: Quantity
    prompts: int
    prompt: int
    response: int
    width: int
    nucleus: bool
    pool: Quantity | None = None
    cast: bool = False


@dataclass(frozen=True)
class TrainingSetup:
    """What decides the memory of training: ``tokens`` of a micro-batch, ``longest`` the longest sequence, ``frozen`` the models beside it.

    ``width``: bytes of a number in the passes. ``process``: bytes of a process that has imported everything and holds no model, 0 on a
    GPU. ``attention_maps``: whether the weights of attention are made, for the column of that name. ``shared_prompts``: whether a prompt
    is computed once for its responses.
    """

    model: Architecture
    sampler: SamplerSetup
    processes: int
    on_gpu: bool
    width: int
    tokens: int
    longest: int
    lora_rank: int
    frozen: tuple[Architecture, ...]
    attention_maps: bool
    shared_prompts: bool
    checkpointing: bool
    process: Quantity


def training_memory(setup: TrainingSetup) -> Memory:
    """Weights, gradients and both moments of AdamW in float32, (16 T + 4 (P - T)) / n bytes, 4 P where n > 1, and what the phases add."""
    model, share = setup.model, 1 / setup.processes
    adapter = adapter_weights(model, setup.lora_rank)
    trained = adapter or model.parameters
    whole = model.parameters + adapter
    resident = [Part("weights, float32", given(4 * whole * share))]
    if setup.processes > 1:
        resident.append(Part("the policy in one piece, float32", given(4 * whole)))
    resident.append(Part("AdamW's two moments, float32", given(8 * trained * share)))
    if setup.frozen:
        frozen = sum(other.parameters for other in setup.frozen)
        resident.append(Part("reference and teacher, float32", given(4 * frozen * share)))

    phases = {}
    if setup.processes > 1:
        # What is shared out starts as a copy of the policy, when neither shares nor moments are there.
        others = _sum(tuple(resident)).value - 4 * whole
        phases["start"] = (Part("the policy once more, less what is not there yet", given(max(0, 4 * whole - others))),)
    phases |= sampling_phases(setup.sampler)
    gradients = Part("gradients, float32", given(4 * trained * share))
    if setup.attention_maps:
        maps = 12 * model.heads * setup.longest * setup.tokens
        phases["attention maps"] = (Part("weights of attention, three copies", given(maps)),)
    phases["update"] = (gradients, *_weights_of_passes(setup), *_activations(setup))
    if setup.on_gpu:
        return Memory(tuple(resident), phases)
    resident.append(Part("the process itself", setup.process))
    if model.parameters > _UNBROKEN:
        fragments = assumed(_FRAGMENTS * _sum(phases["update"]).value)
        phases["between"] = (Part("fragments of the heap between them", fragments),)
    return Memory(tuple(resident), phases).on_heap()


def generation_memory(sampler: SamplerSetup, process: Quantity, on_gpu: bool) -> Memory:
    """A model that is only sampled from: its weights in the sampler's width, and what sampling adds.

    Beside vLLM, which has weights of its own, the model waits in the memory of the host.
    """
    weights = Part("weights", given(sampler.width * sampler.model.parameters))
    if not on_gpu:
        return Memory((weights, Part("the process itself", process)), sampling_phases(sampler)).on_heap()
    return Memory((weights,) if sampler.pool is None else (), sampling_phases(sampler))


def sampling_phases(setup: SamplerSetup) -> dict[str, tuple[Part, ...]]:
    """Prefill: w (4 h + 3 f) bytes a prompt token, of one layer at a time. Decoding: a cache of 2 L k w bytes for every place.

    Where the weights are cast, w P bytes in both, and 24 h + 3 w f a prompt token. vLLM takes what it is given and shares it out itself.
    """
    model, width = setup.model, setup.width
    if setup.pool is not None:
        return {"sampling": (Part("vLLM's weights and cache", setup.pool),)}
    place = cache_bytes(model, width)
    capacity = setup.prompt + setup.response
    # Where weights are cast, what goes from layer to layer stays in float32, and so does what a norm makes of it.
    token = (4 * 6 if setup.cast else width * 4) * model.hidden_size + width * 3 * model.intermediate_size
    prefill = (
        Part("keys and values of the prompts", given(setup.prompts * capacity * place)),
        Part("activations of one layer", given(setup.prompts * setup.prompt * token)),
        Part("attention mask", given(setup.prompts * setup.prompt**2 * (1 + width))),
    )
    # Logits and their log-softmax, then probabilities and cumulative sums in float64; the nucleus sorts and sums once more.
    number = width + 20 + (24 if setup.nucleus else 0)
    decoding = (
        Part("keys and values", setup.rows * capacity * place),
        Part("one layer of them again, when finished rows leave", setup.rows * capacity * place / model.layers),
        Part("distributions over the vocabulary", setup.rows * model.vocabulary * number),
    )
    cast = (Part("weights in the passes' precision", given(width * model.parameters)),) if setup.cast else ()
    return {"prefill": cast + prefill, "decoding": cast + decoding}


def rows_that_fit(setup: SamplerSetup, room: float) -> int:
    """How many rows can be decoded together in ``room`` bytes beside what always lies there; 0 where none can."""

    def decoding(rows: int) -> float:
        return _sum(sampling_phases(replace(setup, rows=given(rows)))["decoding"]).value

    # What the first row takes, and every row more: cast weights are there however many decode.
    once = decoding(1) - (each := decoding(2) - decoding(1))
    return max(0, math.floor((room - once) / each))


def least_pool(setup: SamplerSetup) -> float:
    """The bytes without which vLLM does not start: its weights, and keys and values of one longest sequence."""
    longest = setup.prompt + setup.response
    return setup.width * setup.model.parameters + longest * cache_bytes(setup.model, setup.width)


def cache_bytes(model: Architecture, width: int) -> int:
    """Bytes of the keys and values of one token: 2 L k w."""
    return 2 * model.layers * model.key_size * width


def adapter_weights(model: Architecture, rank: int) -> int:
    """Weights of LoRA of ``rank`` on the seven matrices of every layer, rank x (inputs + outputs) of each; 0 for rank 0."""
    hidden, query, key = model.hidden_size, model.query_size, model.key_size
    edges = 2 * (hidden + query) + 2 * (hidden + key) + 3 * (hidden + model.intermediate_size)
    return model.layers * rank * edges


def layer_activations(model: Architecture, width: int) -> int:
    """Bytes per token that one layer keeps for its backward pass.

    In float32: four states of width h, two normed ones; queries, keys, values, the attention's result and its log-sums; four arrays of
    width f. Under autocast (bfloat16 passes, float32 weights) the four states stay float32, and q, k, v, gate and up keep an input each.
    The norms of queries and keys (qwen3) keep their input in float32, and their result.
    """
    hidden, query, key = model.hidden_size, model.query_size, model.key_size
    states = 4 * 4 * hidden + (5 * 2 if width == 2 else 2 * 4) * hidden
    attention = 2 * width * (query + key) + 4 * model.heads
    norms = (4 + width) * (query + key) if model.family == "qwen3" else 0
    return states + attention + norms + 4 * width * model.intermediate_size


def _activations(setup: TrainingSetup) -> tuple[Part, ...]:
    """What one micro-batch keeps, at the larger of its two peaks: when backward starts at the head, or inside the last layer."""
    model, width, tokens = setup.model, setup.width, setup.tokens
    layer, state = layer_activations(model, width), 4 * model.hidden_size
    if setup.shared_prompts:
        # Attention has a copy of the prompt for each response, and its result again in the order of tokens.
        copies = setup.sampler.prompt / setup.sampler.response
        layer += round(width * (model.query_size + 2 * copies * (model.query_size + model.key_size)))
    # Checkpointing keeps the input of every layer, and makes the rest of one layer at a time again.
    kept = model.layers * (state if setup.checkpointing else layer)
    again = layer if setup.checkpointing else 0
    # At the head: the last states, their norm and its result, what the head reads, its gradient. In the layer: two gradients of width f.
    tiles = 4 * min(_HEAD_NUMBERS, 4 * tokens * model.vocabulary)
    at_head = Part("activations of a micro-batch", given(tokens * (kept + 5 * state)))
    in_layer = Part(
        "activations of a micro-batch", given(tokens * (kept + again + state + 2 * width * model.intermediate_size))
    )
    moments = [(at_head, Part("the head's tiles", given(tiles))), (in_layer,)]
    return max(moments, key=lambda parts: _sum(parts).value)


def _weights_of_passes(setup: TrainingSetup) -> tuple[Part, ...]:
    """Weights as the passes need them, beside the float32 ones that the optimiser moves."""
    model = setup.model
    parts = []
    if setup.processes > 1:
        tables = (1 if model.tied_head else 2) * model.vocabulary * model.hidden_size
        parts += [
            Part("gathered: two layers, embedding and head", given(4 * (2 * model.layer_matrices + tables))),
            Part("gradients not yet shared: a layer, embedding and head", given(4 * (model.layer_matrices + tables))),
        ]
    if setup.width == 2:
        # Autograd keeps the cast matrices of every layer that it keeps the activations of.
        layers = 1 if setup.checkpointing else model.layers
        parts.append(Part("matrices again, bfloat16", given(2 * layers * model.layer_matrices)))
    return tuple(parts)


def _sum(parts: tuple[Part, ...]) -> Quantity:
    return total([part.bytes for part in parts])
