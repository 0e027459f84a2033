"""How sequences are shared out: parts of equal work."""

from __future__ import annotations

from heapq import heapreplace

# The length, in tokens, at which causal attention costs as much as everything else: per token and layer 2 T H operations against 2 x 20 H^2
# of a Qwen2 layer of width H, so 20 H; this is the 1.5B's. For sequences that are much shorter the work is the number of tokens.
_ATTENTION_LENGTH = 20 * 1536


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
