"""Which rows belong together: pairs of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokencredit.config import Config
from tokencredit.study.selection import paired

STUDY = Config(Path(__file__).parents[2] / "config").study("toy-core")


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [("eapo", "dapo", True), ("phr", "forking-random-mask", True), ("eapo", "grpo", False), ("eapo", None, False)],
)
def test_runs_of_one_seed_are_pairs_where_both_methods_draw_problems_alike(
    own: str, other: str | None, expected: bool
) -> None:
    assert paired(STUDY, own, other) is expected
    assert paired(STUDY, "grpo", "grpo")
