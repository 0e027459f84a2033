"""How sequences go through a model together: shares for processes, micro-batches, and their layout in a pass.

Three layouts, and ``layout_of`` says which one a model's attention asks for. ``Padded``: sequences of similar length as the rows of a
rectangle. ``SharedPrompts``: the same, with a row for several responses to one prompt. ``Packed``: all sequences in one row, for attention
that takes the borders between them, so that nothing is padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapreplace
from itertools import accumulate
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.utils.generic import is_flash_attention_requested

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The length, in tokens, at which causal attention costs as much as everything else: per token and layer 2 T H operations against 2 x 20 H^2
# of a Qwen2 layer of width H, so 20 H; this is the 1.5B's. For sequences that are much shorter the work is the number of tokens.
_ATTENTION_LENGTH = 20 * 1536

# Families whose layers do what a mask of [T, T] for each row says, and whose positions are given with it.
_MASKED = frozenset({"granite", "llama", "olmo2", "qwen2", "qwen3", "smollm3"})
# Rotations that depend on the longest sequence of a pass.
_ROPE_OF_A_PASS = frozenset({"dynamic", "longrope"})

# What a pass costs beside its tokens, as a share of its budget: calls of kernels, weights to be gathered, the loss around it. It is about
# 100 tokens, of 2,048, for the embedded model on one core; where it is more, the budget has to be large anyway.
_PASS = 1 / 20


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
        self.inputs = {name: value.to(device) if torch.is_tensor(value) else value for name, value in inputs.items()}
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
        return _rectangles([(1, length) for length in lengths], budget)


class SharedPrompts(Padded):
    """One prompt in each row, computed once, and one after the other its responses, padded on the right (arXiv 2506.05433).

    A response sees the prompt and itself, as if it stood alone behind it: a mask says so, and its positions go on from the prompt's. A row
    is filled up to the length at which attention over what no response sees would cost more than another copy of the prompt. Where no
    prompt has two responses in a row this is ``Padded``, mask and all.
    """

    def __init__(self, sequences: list[Sequence], device: torch.device | str) -> None:
        shared = [row for rows in _rows_by_prompt(sequences) for row in rows]
        if len(shared) == len(sequences):
            super().__init__(sequences, device)
            return
        shape = len(shared), max(_length(row, sequences) for row in shared)
        ids, positions = torch.zeros(2, *shape, dtype=torch.long)
        part = torch.full(shape, -1)  # the prompt is 0, padding -1
        # Row, column and column before of each response's tokens.
        places: list[tuple[Tensor, ...]] = [()] * len(sequences)
        for number, row in enumerate(shared):
            prompt = sequences[row[0]].prompt
            start = len(prompt)
            ids[number, :start], part[number, :start] = torch.tensor(prompt), 0
            positions[number, :start] = torch.arange(start)
            for index in row:
                response = torch.tensor(sequences[index].response, dtype=torch.long)
                columns = start + torch.arange(len(response))
                ids[number, columns], part[number, columns] = response, index + 1
                positions[number, columns] = len(prompt) + torch.arange(len(response))
                before = columns - 1
                before[:1] = len(prompt) - 1
                places[index] = (torch.full_like(columns, number), columns, before)
                start += len(response)
        rows, columns, before = (torch.cat(each) for each in zip(*places, strict=True))
        own, seen = part[:, :, None], part[:, None, :]
        mask = ((own == seen) | ((seen == 0) & (own > 0))).tril()[:, None]
        inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
        Layout.__init__(self, inputs, rows, columns, device, before)

    @classmethod
    def batches(cls, sequences: list[Sequence], budget: int) -> list[list[int]]:
        """As ``Padded.cut``, of rows. All rows of a prompt share a pass, so that they can be told again from its sequences; those of a
        prompt that are above the budget together have a pass each.
        """
        blocks, alone = [], []
        for rows in _rows_by_prompt(sequences, budget):
            width = max(_length(row, sequences) for row in rows)
            if len(rows) * width <= budget:
                blocks.append((len(rows), width, [index for row in rows for index in row]))
            else:
                alone += rows
        found = _rectangles([(rows, width) for rows, width, _ in blocks], budget)
        return alone + [[index for block in batch for index in blocks[block][2]] for batch in found]


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
        alone = [[index] for index, length in enumerate(lengths) if length > budget]
        others = [index for index, length in enumerate(lengths) if length <= budget]
        parts = -(-sum(lengths[index] for index in others) // budget)
        while True:
            shares = balanced([lengths[index] for index in others], max(1, parts))
            batches = [[others[place] for place in share] for share in shares if share]
            if all(sum(lengths[index] for index in batch) <= budget for batch in batches):
                return alone + batches
            parts += 1


def layout_of(model: PreTrainedModel) -> type[Layout]:
    """The layout of the model's passes: ``Packed`` where its attention takes the borders of sequences, ``SharedPrompts`` where it takes a
    mask of each row in all its layers, else ``Padded``.
    """
    if is_flash_attention_requested(model.config):
        return Packed
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    masked = config.model_type in _MASKED and kinds == {"full_attention"} and rope not in _ROPE_OF_A_PASS
    return SharedPrompts if masked and config._attn_implementation == "sdpa" else Padded


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


def _rows_by_prompt(sequences: list[Sequence], most: float = float("inf")) -> list[list[list[int]]]:
    """Of each prompt its rows, as the indices of their sequences: responses in their order, rows of like length, as few as pay, each
    at most ``most`` tokens long or of one response.

    Of a row of P tokens of the prompt and R of each of k responses, the cost for each response, (P / k + R)(1 + (P + k R) / A), is least
    where k R is sqrt(P (A + P)). A is the length at which attention that computes what a mask hides costs as much as everything else.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_prompt.setdefault(sequence.prompt, []).append(index)
    found = []
    for prompt, members in by_prompt.items():
        room = min(most - len(prompt), sqrt(len(prompt) * (_ATTENTION_LENGTH / 2 + len(prompt))))
        lengths = [len(sequences[index].response) for index in members]
        even = sum(lengths) / max(1, ceil(sum(lengths) / max(1, room)))
        rows: list[list[int]] = [[]]
        filled = 0
        for index, length in zip(members, lengths, strict=True):
            if rows[-1] and ((length and filled >= even) or filled + length > room):
                rows.append([])
                filled = 0
            rows[-1].append(index)
            filled += length
        found.append(rows)
    return found


def _length(row: list[int], sequences: list[Sequence]) -> int:
    return len(sequences[row[0]].prompt) + sum(len(sequences[index].response) for index in row)


def _rectangles(blocks: list[tuple[int, int]], budget: int) -> list[list[int]]:
    """The indices of blocks of (rows, width) as rectangles of at most ``budget`` places; a larger block stands alone.

    Blocks of similar width are together: of all cuts of the sorted blocks, that with the least number of places of all rectangles, and a
    twentieth of ``budget`` for each.
    """
    order = sorted(range(len(blocks)), key=lambda index: (-blocks[index][1], index))
    rows = [0, *accumulate(blocks[index][0] for index in order)]
    # Of the first so many blocks: the least cost, and where the last rectangle of that cut starts.
    costs, starts = [0.0], [0]
    for stop in range(1, len(order) + 1):
        found = []
        for start in range(stop - 1, -1, -1):
            places = blocks[order[start]][1] * (rows[stop] - rows[start])
            if places > budget and start < stop - 1:
                break
            found.append((costs[start] + places + _PASS * budget, start))
        cost, start = min(found)
        costs.append(cost)
        starts.append(start)
    batches, stop = [], len(order)
    while stop:
        batches.append(order[starts[stop] : stop])
        stop = starts[stop]
    return batches[::-1]
