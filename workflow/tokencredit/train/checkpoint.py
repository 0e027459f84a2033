"""Checkpoints of a run: complete or not there, kept under a digest of everything that decides the run.

The first process writes them in one piece, so a run can go on in another number of processes.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.train.processes import ALONE, Processes
from tokencredit.train.sharding import load_state, load_weights, whole_state, whole_weights


@dataclass(frozen=True)
class Progress:
    """The progress of a run: with stateless seeds, two numbers and the weights are its whole state."""

    step: int
    drawn: int


def save(
    folder: Path,
    progress: Progress,
    run_digest: str,
    model: nn.Module,
    optimizer: Optimizer,
    processes: Processes = ALONE,
) -> None:
    """Write ``folder/step-N`` beside itself, sync, rename; then delete all but the newest two."""
    weights = {name: weight.cpu() for name, weight in whole_weights(model) if processes.first}
    state = whole_state(optimizer, keep=processes.first)
    if not processes.first:
        return
    target = folder / f"step-{progress.step:06d}"
    temporary = folder / f".{target.name}.partial"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(weights, temporary / "trained.safetensors")
        torch.save(state, temporary / "optimizer.pt")
        files.write_json(temporary / "state.json", {**asdict(progress), "run_digest": run_digest})
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    # A full disk: safetensors and torch.save have errors of their own for it.
    except (OSError, SafetensorError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{target}: the checkpoint cannot be written: {why}; earlier ones are untouched.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _complete(folder)[:-2]:
        shutil.rmtree(old)


def restore(
    folder: Path,
    run_digest: str,
    model: nn.Module,
    optimizer: Optimizer,
    device: torch.device,
    processes: Processes = ALONE,
) -> Progress | None:
    """Load the newest checkpoint into ``model`` and ``optimizer``; None if there is none, ``UserError`` if it is of another run."""
    found = processes.from_first(lambda: _newest(folder, run_digest))
    if found is None:
        return None
    newest, progress = found
    with safe_open(newest / "trained.safetensors", "pt", device=str(device)) as stored:
        load_weights(model, stored.get_tensor)
    load_state(optimizer, torch.load(newest / "optimizer.pt", map_location="cpu", mmap=True, weights_only=True))
    return progress


def _newest(folder: Path, run_digest: str) -> tuple[Path, Progress] | None:
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
    return newest, Progress(state["step"], state["drawn"])


def _complete(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())
