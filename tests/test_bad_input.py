"""Bad input costs nobody data: each kind gives one sentence on the command line, exit status 2, and leaves earlier results as they were.

A checkpoint of another configuration, the tenth kind, is in ``tests/train/test_loop.py``.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokencredit import files
from tokencredit.data.embedded import generate_problems

pytestmark = pytest.mark.slow  # each starts a process
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with a configuration to spoil and an earlier result to keep."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    files.write_parquet(tmp_path / "results/data/toy-tier1/problems.parquet", generate_problems([1], 5, 1, "test"))
    files.write_json(tmp_path / "results/data/toy-tier1/manifest.json", {"rows": 5})
    return tmp_path


def refused(place: Path, *arguments: str, before: Callable[[], None] | None = None, **environment: str) -> str:
    """The one sentence with which ``python -m tokencredit.<arguments>`` ends; the results stay as they were."""
    earlier = files.sha256(place / "results")
    done = subprocess.run(
        [sys.executable, "-m", f"tokencredit.{arguments[0]}", *arguments[1:]],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow"), "HF_HUB_OFFLINE": "1"} | environment,
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert files.sha256(place / "results") == earlier
    return sentence


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_unknown_key(place: Path) -> None:
    spoil(place / "config/studies/toy.yaml", "group_size:", "groupsize:")
    sentence = refused(place, "config", "check")
    assert "toy.yaml: training.groupsize: unknown key" in sentence
    assert "did you mean 'group_size'" in sentence


def test_an_unknown_method(place: Path) -> None:
    spoil(place / "config/studies/toy.yaml", "eapo,", "eapoo,")
    sentence = refused(place, "config", "check")
    assert "toy.yaml: training.methods = 'eapoo': not known; did you mean 'eapo'? allowed: " in sentence


def test_no_samples_at_all(place: Path) -> None:
    spoil(place / "config/studies/toy.yaml", "benchmark: toy-tier1, samples: 16", "benchmark: toy-tier1, samples: 0")
    sentence = refused(place, "config", "check")
    assert "samples" in sentence
    assert "greater than 0" in sentence


@pytest.mark.parametrize("content", [b"title: [unclosed", b"\xff\xfe\x00bad"])
def test_an_unreadable_configuration(place: Path, content: bytes) -> None:
    (place / "config/methods.yaml").write_bytes(content)
    assert "methods.yaml" in refused(place, "config", "check")


@pytest.mark.parametrize("content", [None, '{"id": "aime24/0", "problem": "1 + 1?", "answer": "3"}\n'])
def test_a_data_file_that_is_missing_or_has_another_digest(place: Path, content: str | None) -> None:
    (place / "root").mkdir()
    if content is not None:
        (place / "root/aime24.jsonl").write_text(content)
    prepare = ("data", "prepare", "--config", "config", "--dataset", "aime24", "--out", "results/data/aime24")
    sentence = refused(place, *prepare, "--data-root", str(place / "root"))
    assert "aime24.jsonl" in sentence
    assert "d818e2a8094e604b" in sentence


def test_a_truncated_parquet_file(place: Path) -> None:
    path = place / "results/data/toy-tier1/problems.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    sentence = refused(
        place, "grading", "audit", "--problems", str(path), "--benchmark", "toy-tier1", "--out", "results/audit.json"
    )
    assert f"{path}: cannot be read as Parquet, it may be truncated" in sentence


def test_no_space_left(place: Path) -> None:
    """A limit on the size of files stands for a full disk: both make a write fail half-way."""
    sentence = refused(
        place,
        *("data", "prepare", "--config", "config", "--dataset", "toy-tier2", "--out", "results/data/toy-tier1"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert "cannot be written" in sentence
    assert "earlier results are untouched" in sentence


def test_a_model_that_does_not_exist(place: Path) -> None:
    spoil(place / "config/models.yaml", "id: Qwen/Qwen2.5-Math-7B", "id: nobody/no-such-model")
    sentence = refused(
        place, "base", "--model", "qwen2.5-math-7b", "--config", "config", "--out", "results/models/qwen2.5-math-7b"
    )
    assert "models.qwen2.5-math-7b.id" in sentence
    assert "nobody/no-such-model" in sentence
