"""Writes a run's records (metrics, rollouts, evaluations), so that a resumed run ends with identical files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.train.processes import ALONE, Processes

TABLES = ("rollouts", "evaluations", "probe")


class Recorder:
    """JSON lines per step and table parts per step in a work folder; ``publish`` joins them beside ``run.json``.

    All processes hold the same records, so only the first writes, and reads for the others.
    """

    def __init__(self, work: Path, processes: Processes = ALONE) -> None:
        self.work, self.processes = work, processes
        work.mkdir(parents=True, exist_ok=True)

    def resume_at(self, step: int) -> None:
        """Drop the lines of steps after ``step``, which will be written again."""
        if not self.processes.first:
            return
        for name in ("metrics", "timing"):
            path = self.work / f"{name}.jsonl"
            kept = []
            for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
                # A line that a kill cut short is of a step after the checkpoint.
                if line.endswith("}") and json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            if len(kept) != step:
                raise UserError(
                    f"{path}: {len(kept)} of the {step} steps before the checkpoint have a line; delete {self.work} to start again."
                )
            files.write_text(path, "".join(kept))

    def line(self, name: str, record: dict[str, Any]) -> None:
        if not self.processes.first:
            return
        path = self.work / f"{name}.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())  # a checkpoint is synced too, and counts on the lines before it
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror or error}; the checkpoint stands.") from error

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The records so far, in the order of their steps."""
        return self.processes.from_first(lambda: files.read_jsonl(self.work / f"{name}.jsonl"))

    def part(self, name: str, step: int, table: pd.DataFrame) -> None:
        if self.processes.first:
            files.write_parquet(self.work / name / f"{step:06d}.parquet", table)

    def publish(self, out: Path) -> dict[str, Path]:
        """Join the parts of each table and copy the lines to ``out``; the files made, by name."""
        made = {}
        for name in ("metrics", "timing"):
            made[f"{name}.jsonl"] = out / f"{name}.jsonl"
            files.write_text(out / f"{name}.jsonl", (self.work / f"{name}.jsonl").read_text(encoding="utf-8"))
        for name in TABLES:
            made[f"{name}.parquet"] = out / f"{name}.parquet"
            parts = [files.read_parquet(path) for path in sorted((self.work / name).glob("*.parquet"))]
            files.write_parquet(out / f"{name}.parquet", pd.concat(parts, ignore_index=True))
        return made

    def remove(self) -> None:
        """Let the work folder go, and its parent unless it holds the work of another configuration."""
        shutil.rmtree(self.work)
        if not any(self.work.parent.iterdir()):
            self.work.parent.rmdir()
