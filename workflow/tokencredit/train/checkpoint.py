"""Checkpoints of a run: complete or not there, kept under a digest of everything that decides the run."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tokencredit import files
from tokencredit.errors import UserError


@dataclass(frozen=True)
class Progress:
    """Where a run stands: with stateless seeds, two numbers and the weights are all there is to it."""

    step: int
    drawn: int


def save(folder: Path, progress: Progress, run_digest: str, model: nn.Module, optimizer: Any) -> None:
    """Write ``folder/step-N`` beside itself, sync, rename; then delete all but the newest two."""
    target = folder / f"step-{progress.step:06d}"
    temporary = folder / f".{target.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(_trained(model), temporary / "trained.safetensors")
        torch.save(optimizer.state_dict(), temporary / "optimizer.pt")
        files.write_json(temporary / "state.json", {**asdict(progress), "run_digest": run_digest})
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    except OSError as error:
        raise UserError(
            f"{target}: the checkpoint cannot be written: {error.strerror or error}; earlier ones are untouched."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _complete(folder)[:-2]:
        shutil.rmtree(old)


def restore(folder: Path, run_digest: str, model: nn.Module, optimizer: Any, device: torch.device) -> Progress | None:
    """Load the newest checkpoint into ``model`` and ``optimizer``; None if there is none, ``UserError`` if it is of another run."""
    complete = _complete(folder)
    if not complete:
        return None
    newest = complete[-1]
    state = files.read_json(newest / "state.json")
    if state["run_digest"] != run_digest:
        raise UserError(
            f"{newest}: this checkpoint belongs to another configuration, seed or code (run digest {state['run_digest'][:12]}, "
            f"this run's is {run_digest[:12]}); move it away to start again."
        )
    stored = load_file(newest / "trained.safetensors", device=str(device))
    with torch.no_grad():
        for name, parameter in _trained(model).items():
            parameter.copy_(stored[name])
    optimizer.load_state_dict(torch.load(newest / "optimizer.pt", map_location=device, weights_only=True))
    return Progress(state["step"], state["drawn"])


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that training moves, each once where it is shared: all of them, or an adapter's."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _complete(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())
