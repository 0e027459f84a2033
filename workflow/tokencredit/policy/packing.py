"""How sequences go through a model together: shares for processes, micro-batches, and their layout in a pass.

Three layouts, and ``layout_of`` says which one a model's attention asks for. ``Padded``: sequences of similar length as the rows of a
rectangle. ``Packed``: all sequences in one row, for attention that takes the borders between them, so that nothing is padding.
``SharedPrompts``: the same for attention that is ours, with each prompt once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapreplace
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.utils.generic import is_flash_attention_requested

from tokencredit.policy.shared_prompts import SharedAttention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The length, in tokens, at which causal attention costs as much as everything else: per token and layer 2 T H operations against 2 x 20 H^2
# of a Qwen2 layer of width H, so 20 H; this is the 1.5B's. For sequences that are much shorter the work is the number of tokens.
_ATTENTION_LENGTH = 20 * 1536

# Families whose layers hand on what a pass says of its attention, and take the positions that it gives.
_SHARING = frozenset({"granite", "llama", "olmo2", "qwen2", "qwen3", "smollm3"})
# Rotations that depend on the longest sequence of a pass.
_ROPE_OF_A_PASS = frozenset({"dynamic", "longrope"})

# What a pass costs beside its tokens, as a share of its budget: calls of kernels, weights to be gathered, the loss around it. It is about
# 100 tokens, of 2,048, for the embedded model on one core; where it is more, the budget has to be large anyway.
_PASS = 1 / 20
# The same for a call of attention, in places of its rectangle.
_CALL = 128


@dataclass(frozen=True)
class Sequence:
    """A prompt and a response, as token ids."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("a Sequence needs a prompt of at least one token: nothing predicts a first token.")

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


class Layout:
    """The sequences of one pass as rows of token ids, and the place of each of their n response tokens, response after response.

    ``before``: the columns of the places that predict them, where these are not one place before.
    """

    def __init__(
        self,
        inputs: dict[str, Any],
        rows: Tensor,
        columns: Tensor,
        device: torch.device | str,
        before: Tensor | None = None,
    ) -> None:
        self.inputs = {name: value.to(device) if hasattr(value, "to") else value for name, value in inputs.items()}
        self._rows, self._columns = rows.to(device), columns.to(device)
        self._before = self._columns - 1 if before is None else before.to(device)

    @property
    def ids(self) -> Tensor:
        """[B, T] int64."""
        return self.inputs["input_ids"]

    @property
    def tokens(self) -> Tensor:
        """[n] int64: the response tokens."""
        return self.ids[self._rows, self._columns]

    def predicting(self, states: Tensor) -> Tensor:
        """[B, T, ...] -> [n, ...]: the states that predict the response tokens, each that of the token before."""
        return states[self._rows, self._before]

    @classmethod
    def batches(cls, sequences: list[Sequence], budget: int) -> list[list[int]]:
        """The indices of ``sequences`` as micro-batches of at most ``budget`` places; a longer sequence stands alone."""
        return cls.cut([len(sequence) for sequence in sequences], budget)

    @staticmethod
    def cut(lengths: list[int], budget: int) -> list[list[int]]:
        """``batches`` of sequences of which the ``lengths`` alone are known, in tokens."""
        raise NotImplementedError


class Padded(Layout):
    """One sequence in each row, padded on the right.

    Under causal attention no token sees what stands after it, so no mask is needed and padding changes nothing.
    """

    def __init__(self, sequences: list[Sequence], device: torch.device | str) -> None:
        flat = _Flat(sequences)
        ids = torch.zeros(len(sequences), max(len(sequence) for sequence in sequences), dtype=torch.long)
        ids[flat.row, flat.column] = flat.token
        super().__init__({"input_ids": ids}, flat.row[flat.answers], flat.column[flat.answers], device)

    @staticmethod
    def cut(lengths: list[int], budget: int) -> list[list[int]]:
        """Sequences of ``lengths`` tokens: of all cuts of the sorted ones, that with the least padding and fewest passes."""
        return _rectangles(lengths, budget, _PASS * budget)


class SharedPrompts(Layout):
    """All sequences in one row, without padding: the different prompts, each once, and then the responses (arXiv 2506.05433).

    A response sees its prompt and itself, as if it stood alone behind it (``SharedAttention``), and its positions go on from the prompt's.
    """

    def __init__(self, sequences: list[Sequence], device: torch.device | str) -> None:
        prompts = list(dict.fromkeys(sequence.prompt for sequence in sequences))
        runs = [*prompts, *(sequence.response for sequence in sequences)]
        position = [torch.arange(len(prompt)) for prompt in prompts]
        position += [len(sequence.prompt) + torch.arange(len(sequence.response)) for sequence in sequences]
        lengths = [len(run) for run in runs]
        columns = torch.arange(sum(lengths)).split(lengths)
        columns_of = dict(zip(prompts, columns, strict=False))
        whole = [
            torch.cat([columns_of[sequence.prompt], own])
            for sequence, own in zip(sequences, columns[len(prompts) :], strict=True)
        ]
        alike = _rectangles([len(sequence) for sequence in sequences], inf, _CALL)
        inputs = {
            "input_ids": torch.tensor([token for run in runs for token in run])[None],
            "position_ids": torch.cat(position)[None],
            # Not read: without one transformers would make one of [T, T].
            "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool),
            "shared": SharedAttention.of([[whole[index] for index in part] for part in alike], sum(lengths)),
        }
        answers = torch.cat(columns[len(prompts) :])
        before = torch.cat([own[len(sequence.prompt) - 1 : -1] for own, sequence in zip(whole, sequences, strict=True)])
        super().__init__(inputs, torch.zeros_like(answers), answers, device, before)

    @classmethod
    def batches(cls, sequences: list[Sequence], budget: int) -> list[list[int]]:
        """As ``Packed``, of prompts with their responses; those that are above the budget together are cut into several."""
        parts = _parts_by_prompt(sequences, budget)
        lengths = [
            len(sequences[part[0]].prompt) + sum(len(sequences[index].response) for index in part) for part in parts
        ]
        return [[index for part in batch for index in parts[part]] for batch in _cut(lengths, budget)]


class Packed(Layout):
    """All sequences in one row, one after the other, without padding; positions start again with each.

    For attention that takes the borders between sequences (``cu_seq_lens``, flash attention's variable-length kernel). Other
    implementations of transformers read the borders off the positions, and make a mask of [T, T] from them.
    """

    def __init__(self, sequences: list[Sequence], device: torch.device | str) -> None:
        flat = _Flat(sequences)
        lengths = [len(sequence) for sequence in sequences]
        borders = torch.tensor([0, *lengths]).cumsum(0).int()
        inputs = {
            "input_ids": flat.token[None],
            "position_ids": flat.column[None],
            "cu_seq_lens_q": borders,
            "cu_seq_lens_k": borders,
            "max_length_q": max(lengths),
            "max_length_k": max(lengths),
        }
        columns = flat.answers.nonzero().squeeze(1)
        super().__init__(inputs, torch.zeros_like(columns), columns, device)

    @staticmethod
    def cut(lengths: list[int], budget: int) -> list[list[int]]:
        """Few micro-batches, ``balanced``: the least number that the tokens allow, or the next at which none is above the budget."""
        return _cut(lengths, budget)


def layout_of(model: PreTrainedModel) -> type[Layout]:
    """The layout of the model's passes: ``Packed`` where its attention takes the borders of sequences, ``SharedPrompts`` where all its
    layers are known to see everything before a token, else ``Padded``.
    """
    if is_flash_attention_requested(model.config):
        return Packed
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    sharing = config.model_type in _SHARING and kinds == {"full_attention"} and rope not in _ROPE_OF_A_PASS
    return SharedPrompts if sharing and config._attn_implementation == "sdpa" else Padded


def micro_batches(sequences: list[Sequence], budget: int, layout: type[Layout] = Padded) -> Iterator[list[int]]:
    """Indices of the sequences of each pass, at most ``budget`` tokens in each, padding included; a longer sequence stands alone."""
    yield from layout.batches(sequences, budget)


def balanced(lengths: list[int], parts: int) -> list[list[int]]:
    """The indices of sequences of ``lengths`` tokens as ``parts`` lists of nearly equal work, each in increasing order.

    The work of T tokens is T + T^2 / 30,720: what grows with tokens, and attention. The longest sequence goes first, each to the part with
    the least work so far, so the fullest part has at most 4/3 of the least possible. The answer depends on nothing but the arguments: every
    process of a run can compute it for itself. Some lists are empty where there are fewer sequences than ``parts``.
    """
    if parts < 1:
        raise ValueError(f"balanced: sequences cannot be shared among {parts} parts.")
    members: list[list[int]] = [[] for _ in range(parts)]
    loads = [(0, part) for part in range(parts)]
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        load, part = loads[0]
        members[part].append(index)
        heapreplace(loads, (load + lengths[index] * (_ATTENTION_LENGTH + lengths[index]), part))
    return [sorted(part) for part in members]


class _Flat:
    """The tokens of sequences, one after the other: [N] each."""

    def __init__(self, sequences: list[Sequence]) -> None:
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        prompts = torch.tensor([len(sequence.prompt) for sequence in sequences])
        self.token = torch.tensor([token for s in sequences for part in (s.prompt, s.response) for token in part])
        self.row = torch.arange(len(sequences)).repeat_interleave(lengths)
        self.column = torch.arange(len(self.token)) - (lengths.cumsum(0) - lengths)[self.row]
        self.answers = self.column >= prompts[self.row]  # bool: tokens of responses


def _parts_by_prompt(sequences: list[Sequence], budget: int) -> list[list[int]]:
    """The indices of the sequences of each prompt, as few parts of nearly even length as have at most ``budget`` tokens or one response."""
    found = []
    for prompt, members in _by_prompt(sequences).items():
        room = budget - len(prompt)
        lengths = [len(sequences[index].response) for index in members]
        found += [[members[place] for place in part] for part in _cut(lengths, room)]
    return found


def _cut(lengths: list[int], most: int) -> list[list[int]]:
    """The indices of ``lengths`` as few ``balanced`` parts of at most ``most``; what is longer stands alone."""
    alone = [[index] for index, length in enumerate(lengths) if length > most]
    others = [index for index, length in enumerate(lengths) if length <= most]
    parts = -(-sum(lengths[index] for index in others) // max(1, most))
    while True:
        shares = balanced([lengths[index] for index in others], max(1, parts))
        batches = [[others[place] for place in share] for share in shares if share]
        if all(sum(lengths[index] for index in batch) <= most for batch in batches):
            return alone + batches
        parts += 1


def _by_prompt(sequences: list[Sequence]) -> dict[tuple[int, ...], list[int]]:
    """The indices of the sequences of each prompt."""
    members: dict[tuple[int, ...], list[int]] = {}
    for index, sequence in enumerate(sequences):
        members.setdefault(sequence.prompt, []).append(index)
    return members


def _rectangles(lengths: list[int], budget: float, cost: float) -> list[list[int]]:
    """The indices of sequences as rectangles of at most ``budget`` places; a longer sequence stands alone.

    Of all cuts of the sorted sequences, that with the least number of places of all rectangles, and ``cost`` for each.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    # Of the first so many sequences: the least cost, and where the last rectangle of that cut starts.
    costs, starts = [0.0], [0]
    for stop in range(1, len(order) + 1):
        found = []
        for start in range(stop - 1, -1, -1):
            places = lengths[order[start]] * (stop - start)
            if places > budget and start < stop - 1:
                break
            found.append((costs[start] + places + cost, start))
        least, start = min(found)
        costs.append(least)
        starts.append(start)
    batches, stop = [], len(order)
    while stop:
        batches.append(order[starts[stop] : stop])
        stop = starts[stop]
    return batches[::-1]
