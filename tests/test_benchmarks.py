"""The benchmark that runs nothing: two engines side by side in the records of two runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokencredit import files

SCRIPT = Path(__file__).parents[1] / "benchmarks/engines.py"


def write_run(folder: Path, engine: str, seed: int = 0, **more: float) -> Path:
    """Two steps that learned something, 2 + 1 groups of 4 responses of 10 tokens in 1.5 s, and one that did not."""
    folder.mkdir(parents=True)
    training: dict[str, Any] = {"engine": engine, "mixed_precision": "bf16", "group_size": 4}
    run = {"study": folder.parent.name, "seed": seed, "code_digest": "0", "config": {"training": training}}
    files.write_json(folder / "run.json", run)
    learned = {"groups_sampled": 2, "response_tokens": 10.0, "mismatch_outside": 0.25, **more}
    metrics = [
        {"step": 1, **learned, "mismatch_kl": 0.001},
        {"step": 2, "groups_sampled": 8},
        {"step": 3, **learned, "groups_surplus": 1, "mismatch_kl": 0.003},
    ]
    spent = {"seconds_sample": 1.5, "seconds_grade": 0.0, "seconds_score": 0.5, "seconds_update": 2.0}
    for name, lines in (("metrics", metrics), ("timing", [{"step": step, **spent} for step in (1, 2, 3)])):
        files.write_text(folder / f"{name}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return folder


def shown(*runs: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, runs)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_two_engines_side_by_side(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "pocket/a", "transformers")
    other = write_run(tmp_path / "pocket-vllm/a", "vllm", seed=1, canary_mean=0.01, canary_max=0.2)
    done = shown(ours, other)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "transformers vllm"
    assert "KL(sampler, trainer), median of steps, nats a token 0.002 0.002" in lines
    assert "the same, largest 0.003 0.003" in lines
    assert "canary, mean difference, largest, nats 0.01" in lines
    assert "canary, largest difference, nats 0.2" in lines
    assert "response tokens sampled per second 67 67" in lines  # (2 + 3) * 4 * 10 tokens in 2 * 1.5 s
    assert "seconds of a step 4.0 4.0" in lines
    assert lines[-1] == "seed differs too: 0 and 1"


@pytest.mark.slow
def test_a_folder_without_records_is_a_sentence(tmp_path: Path) -> None:
    done = shown(write_run(tmp_path / "a", "transformers"), tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'none/run.json'}: ")
    assert "Traceback" not in done.stderr
