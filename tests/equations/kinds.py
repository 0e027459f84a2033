"""Credit by kind: tokens of one part alone, and EAPO that knows style (equations of arXiv 2604.11056)."""

from __future__ import annotations

import dataclasses

from tests.equations import eapo
from tests.equations.batch import Batch, Credit, plain

# In the order of the numbers in the column.
KINDS = ("style fork", "strategy fork", "branch", "result", "answer", "copied number", "routine")
PARTS = {
    "strategy": {"strategy fork", "branch"},
    "style": {"style fork"},
    "execution": {"result", "answer", "copied number"},
    "no-style-no-routine": {"strategy fork", "branch", "result", "answer", "copied number"},
}


def kind_mask(batch: Batch, part: str = "strategy") -> Credit:
    """A_i at the tokens of the part; the mean is over these."""
    keep = [[KINDS[kind] in PARTS[part] for kind in response.kind] for response in batch.responses]
    return Credit(plain(batch), keep, denominator="kept")


def eapo_known_style(batch: Batch, alpha: float = 0.2, phi: float = 2.0) -> Credit:
    """EAPO of H' = H, and 0 at forks of style."""
    known = [
        dataclasses.replace(
            response,
            entropy=[
                0.0 if KINDS[kind] == "style fork" else H
                for H, kind in zip(response.entropy, response.kind, strict=True)
            ],
        )
        for response in batch.responses
    ]
    return eapo.eapo(dataclasses.replace(batch, responses=known), alpha, phi)
