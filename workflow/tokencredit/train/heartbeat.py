"""The watchdog: a process records its phase, and ends itself if it stays in one phase too long."""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Self


class Heartbeat:
    """A small file for each process, and a clock that every phase of a step starts again.

    A process that stays in one phase for ``minutes``, in a collective, an engine or a file system that hangs, prints the stacks of all its
    threads and exits with status 1: the run then goes on from its last checkpoint instead of holding its machine for nothing. The clock
    runs from the first ``phase`` to the end of the ``with`` block.
    """

    def __init__(self, folder: Path, rank: int, minutes: float) -> None:
        self.path, self.rank, self.minutes = folder / f"{rank}.json", rank, minutes
        folder.mkdir(parents=True, exist_ok=True)

    def phase(self, step: int, name: str) -> None:
        """``name`` of ``step`` begins: write ``<folder>/<rank>.json`` and start the clock again."""
        faulthandler.dump_traceback_later(60 * self.minutes, exit=True, file=sys.__stderr__)
        where = {"host": socket.gethostname(), "pid": os.getpid()}
        record = {"rank": self.rank, "step": step, "phase": name, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **where}
        # In one piece, for `status` reads it while this writes; not synced, for after a crash nobody asks.
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(record) + "\n", encoding="utf-8")
        new.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()
