"""Commands in processes of their own, whose words go to a file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A command under way, and the file of what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def trouble(self) -> str | None:
        """Wait for the end: None where it is a good one, else how it ended and the last that was said."""
        if not (status := self.process.wait()):
            return None
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"ended with status {status}: {lines[-1].removeprefix('error: ') if lines else 'it said nothing'}"


def start(command: list[str], log: Path) -> Running:
    """``command`` in a process of the caller's group."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        return Running(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT), log)


def run(command: list[str], log: Path, seconds: float, more: Mapping[str, str] | None = None) -> str | None:
    """``trouble`` of ``command`` in a group of its own, all of which is killed after ``seconds``; ``more``: of its environment."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        environment = {**os.environ, **(more or {})}
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"did not end within {seconds:.0f} s and was killed"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Running(process, log).trouble()
