"""Operations and seconds of a step, and of a set of generations.

A token's forward pass through the layers takes 2 M L + 4 L q c operations: M weights in the matrices of a layer (of a mixture, of the
experts that a token goes through), q the width of the queries, c the mean number of positions that a token attends to, half the sequence
under causal attention. The head takes 2 h V more for each token that it is asked about. Backward takes twice the forward, with frozen
matrices (LoRA) once for these. What it computes again, the head's logits and layers under gradient checkpointing, counts as it is computed.
Elementwise operations do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokencredit.config import Architecture, Gpu
from tokencredit.cost.memory import SamplerSetup, cache_bytes
from tokencredit.cost.quantity import Quantity, largest
from tokencredit.cost.terms import Terms


@dataclass(frozen=True)
class Operations:
    """Floating-point operations: of the layers, and of the head, which is more precise than they are under mixed precision."""

    layers: Quantity
    head: Quantity

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.layers + other.layers, self.head + other.head)

    def __mul__(self, times: Quantity | float) -> Operations:
        return Operations(self.layers * times, self.head * times)

    @property
    def total(self) -> Quantity:
        return self.layers + self.head

    def seconds(self, gpu: Gpu, processes: int, mixed: bool, terms: Terms) -> Quantity:
        """On ``processes`` GPUs at the stated utilisation."""
        rate = terms.utilisation * (processes * 1e12)
        layers, head = (gpu.bf16_tflops, gpu.tf32_tflops) if mixed else (gpu.fp32_tflops, gpu.fp32_tflops)
        return self.layers / (rate * layers) + self.head / (rate * head)


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt and of its response, and the limit of responses."""

    prompt: Quantity
    response: Quantity
    limit: int

    @property
    def sequence(self) -> Quantity:
        return self.prompt + self.response

    @property
    def context(self) -> Quantity:
        """Positions that a token of a whole sequence attends to, as a mean: half the sequence."""
        return self.sequence * 0.5


def forward(model: Architecture, lengths: Lengths) -> Operations:
    """One response with its prompt through the model, the head at the response's tokens."""
    head = lengths.response * (2 * model.hidden_size * model.vocabulary)
    return Operations(_matrices(model, lengths) + _attention(model, lengths), head)


def update(model: Architecture, lengths: Lengths, checkpointing: bool, adapter: bool) -> Operations:
    """Forward and backward of one response: three forwards, of frozen matrices two; four of the head, of a frozen one three.

    Gradient checkpointing computes each layer again but for its last product, of which nothing is kept.
    """
    once = forward(model, lengths)
    layers = _matrices(model, lengths) * (2 if adapter else 3) + _attention(model, lengths) * 3
    if checkpointing:
        last = lengths.sequence * (2 * model.layers * model.hidden_size * model.intermediate_size)
        layers = layers + once.layers - last
    return Operations(layers, once.head * (3 if adapter else 4))


def _matrices(model: Architecture, lengths: Lengths) -> Quantity:
    return lengths.sequence * (2 * model.layers * model.active_matrices)


def _attention(model: Architecture, lengths: Lengths) -> Quantity:
    return lengths.sequence * lengths.context * (4 * model.layers * model.query_size)


def sampling_seconds(setup: SamplerSetup, gpu: Gpu, responses: Quantity, lengths: Lengths, terms: Terms) -> Quantity:
    """Seconds in which one GPU samples ``responses``: the longest of what computing, reading and launching take.

    Every step of decoding reads all weights, and the keys and values so far. The transformers engine decodes its rows together until the
    longest ends, which is taken to be at the limit, and launches the kernels of every layer one by one; vLLM fills the place of a row that
    ends, and launches a step as one.
    """
    model, width, vllm = setup.model, setup.width, setup.pool is not None
    batches = responses / setup.rows
    steps = batches * lengths.response + lengths.limit if vllm else batches.rounded_up() * lengths.limit
    reading = bytes_read(model, width, responses, lengths, steps) / (terms.bandwidth_share * (gpu.bandwidth_gb_s * 1e9))
    peak = gpu.bf16_tflops if width == 2 else gpu.fp32_tflops
    computing = forward(model, lengths).total * responses / (terms.utilisation * (peak * 1e12))
    launching = [] if vllm else [terms.layer_launch * steps * model.layers]
    return largest([reading, computing, *launching])


def bytes_read(model: Architecture, width: int, responses: Quantity, lengths: Lengths, steps: Quantity) -> Quantity:
    """By ``steps`` of decoding: all weights in each, and for each token the keys and values of those before it."""
    places = responses * lengths.response * (lengths.prompt + lengths.response * 0.5)
    return places * cache_bytes(model, width) + steps * width * model.parameters


def evaluations(steps: int, every: int) -> int:
    """Evaluations inside training: before the first step, every so many steps, and after the last."""
    return 1 + steps // every + (steps % every != 0)
