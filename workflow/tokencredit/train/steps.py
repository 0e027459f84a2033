"""The steps of a response: where one ends and the next begins."""

from __future__ import annotations

import torch
from torch import Tensor

_SENTENCE_ENDS = (".", "?", "!")


def step_numbers(texts: list[str], position: Tensor) -> Tensor:
    """[N] int64: the place of each token's step in its response. ``texts`` [N]: the tokens'; ``position`` [N]: theirs.

    A step ends with a line, or with a sentence: a full stop within a number is none.
    """
    first = (position == 0).tolist()
    found = []
    for row, text in enumerate(texts):
        if first[row]:
            number = 0
        elif "\n" in texts[row - 1] or (texts[row - 1].endswith(_SENTENCE_ENDS) and text[:1].isspace()):
            number += 1
        found.append(number)
    return torch.tensor(found, dtype=torch.long)


def first_tokens(texts: list[str]) -> list[int]:
    """The places in one response at which its steps begin. ``texts``: its tokens'."""
    number = step_numbers(texts, torch.arange(len(texts)))
    return [0, *(number.diff().nonzero().squeeze(1) + 1).tolist()]
