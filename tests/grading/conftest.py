"""One pool of graders for all tests of the package, and the real data where they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tokencredit.grading import GradingPool

Outcome = Callable[[str, str], str]


@pytest.fixture(scope="session")
def pool() -> Iterator[GradingPool]:
    with GradingPool(workers=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def outcome(pool: GradingPool) -> Outcome:
    """The outcome of an answer in a box."""
    return lambda gold, answer: pool.grade(gold, rf"So it is $\boxed{{{answer}}}$.").outcome


@pytest.fixture(scope="session")
def data_root() -> Path:
    if "TOKENCREDIT_DATA" not in os.environ:
        pytest.skip("TOKENCREDIT_DATA is not set: the real data sets are not here")
    return Path(os.environ["TOKENCREDIT_DATA"])


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
