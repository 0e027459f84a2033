"""README's table of the demo is the one that a run's scores make."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tokencredit.errors import UserError
from tokencredit.tools.demo_table import filled

README = Path("README.md").read_text(encoding="utf-8")


def scores(methods: dict[str, str], change: float) -> pd.DataFrame:
    """A score of each method and benchmark; the first method is the base model."""
    lines = [
        {
            **{"method": method, "title": title, "benchmark": benchmark},
            **{"avg": 40 + 10 * place + change, "avg_low": 30.4, "avg_high": 60.6},
            "over_base": change if place else None,
        }
        for place, (method, title) in enumerate(methods.items())
        for benchmark in ("toy-tier1", "toy-tier2", "toy-tier3", "mean")
    ]
    return pd.DataFrame(lines)


def test_the_table_is_replaced_and_nothing_else() -> None:
    made = filled(README, scores({"base": "Base model", "phr": "PHR"}, -1.25))
    line = "| PHR: right, high entropy | 48.8 (−1.2) | 48.8 (−1.2) | 48.8 (−1.2) | 48.8 [30, 61] |"
    assert "| Base model | 38.8 | 38.8 | 38.8 | 38.8 [30, 61] |\n" + line in made
    assert "| GRPO |" not in made
    kept = [text for text in README.splitlines() if not text.startswith("|")]
    assert [text for text in made.splitlines() if not text.startswith("|")] == kept


def test_a_table_of_another_study_is_refused() -> None:
    table = scores({"base": "Base model"}, 0.0)
    with pytest.raises(UserError, match="base has no score of toy-tier3"):
        filled(README, table[table["benchmark"] != "toy-tier3"])
    with pytest.raises(UserError, match="does not hold the demo's table once"):
        filled("no table", table)
