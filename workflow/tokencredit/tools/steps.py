"""The steps of a training run as its files have them, while the run is under way too."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from tokencredit.study.paths import RunFolder
from tokencredit.tools.status import changed


def step_files(run: RunFolder) -> tuple[Path, Path] | None:
    """``metrics.jsonl`` and ``timing.jsonl`` of a finished run, or those that the newest attempt writes; None where nobody began."""
    if run.record.exists():
        return run.metrics, run.timing
    newest = max(run.work.glob(f"*/{run.metrics.name}"), key=changed, default=None)
    return None if newest is None else (newest, newest.with_name(run.timing.name))


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; what is being written at this moment is left out. Empty where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
