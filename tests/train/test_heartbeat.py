"""What a process says of where it stands can be read at any moment."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tokencredit.train.heartbeat import Heartbeat


@pytest.mark.slow
def test_a_reader_never_finds_half_of_it(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, rank=0, minutes=1) as heartbeat:
        heartbeat.phase(0, "start")
        done = threading.Event()

        def write() -> None:
            for step in range(1, 2001):
                heartbeat.phase(step, "sample")
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        found = set()
        while not done.is_set():
            found.add(json.loads((tmp_path / "0.json").read_text(encoding="utf-8"))["step"])
        writer.join()
    assert len(found) > 1
    assert json.loads((tmp_path / "0.json").read_text(encoding="utf-8"))["step"] == 2000
