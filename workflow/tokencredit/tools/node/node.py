"""What a check is given, and the two ways in which it may end beside well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from tokencredit.errors import UserError
from tokencredit.train.processes import Processes


class LeftOutError(Exception):
    """A check cannot be made here; the message says why."""


@dataclass(frozen=True)
class Node:
    """Where checks are made: the folder of the configuration, an empty folder, and the device of one process."""

    config: Path
    scratch: Path
    device: torch.device

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def alone(self) -> Processes:
        """One process on the device."""
        return Processes(device=self.device)


def demand(what: str, errors: dict[str, tuple[float, float]]) -> None:
    """``UserError`` unless each error is at most its bound: (error, bound) by what it is of; one that is no number is above any."""
    for name, (error, bound) in errors.items():
        if not error <= bound:
            raise UserError(f"{what}: {name} off by {error:.3g}; {bound:g} is allowed.")
