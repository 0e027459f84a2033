"""A small data root and configuration of made-up problems, and the real ones where they are."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tokencredit.config import Config

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="session")
def real_config() -> Config:
    return Config(CONFIG)


@pytest.fixture(scope="session")
def data_root() -> Path:
    if "TOKENCREDIT_DATA" not in os.environ:
        pytest.skip("TOKENCREDIT_DATA is not set: the real data sets are not here")
    return Path(os.environ["TOKENCREDIT_DATA"])


def record(number: int, problem: str | None = None, answer: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": f"p/{number}",
        "problem": f"What is {number} plus one?" if problem is None else problem,
        "answer": str(number + 1) if answer is None else answer,
        **more,
    }


@dataclass
class House:
    """A configuration with a training set ``practice`` and a data set ``exam`` of a benchmark of the same name."""

    root: Path
    configuration: Path
    out: Path

    def write(self, name: str, content: bytes, rows: int, **more: Any) -> None:
        """Put a file under the data root, and pin it."""
        (self.root / f"{name}.jsonl.gz").write_bytes(content)
        entry = {
            "kind": "file",
            "title": name,
            "file": f"{name}.jsonl.gz",
            "rows": rows,
            "sha256": hashlib.sha256(content).hexdigest(),
            "licence": "none",
            **more,
        }
        path = self.configuration / "datasets.yaml"
        table = yaml.safe_load(path.read_text()) if path.exists() else {"datasets": {}}
        table["datasets"][name] = entry
        path.write_text(yaml.safe_dump(table))

    def pack(self, name: str, records: list[dict[str, Any]], **more: Any) -> None:
        self.write(name, packed(records), len(records), **more)

    @property
    def config(self) -> Config:
        return Config(self.configuration)


def packed(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in records).encode(), mtime=0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "root", tmp_path / "config", tmp_path / "out")
    made.root.mkdir()
    made.configuration.mkdir()
    for name in ("models", "methods"):
        (made.configuration / f"{name}.yaml").write_bytes((CONFIG / f"{name}.yaml").read_bytes())
    benchmark = {"title": "Exam", "dataset": "exam", "samples": 2, "problems": 4}
    (made.configuration / "benchmarks.yaml").write_text(yaml.safe_dump({"benchmarks": {"exam": benchmark}}))
    made.pack("practice", [record(number) for number in range(6)])
    made.pack("exam", [record(number) for number in range(4)])
    return made
