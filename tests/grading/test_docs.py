"""docs/grading.md: its code runs, and its rules hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tokencredit.grading.judge import fast

PAGE = (Path(__file__).parents[2] / "docs" / "grading.md").read_text(encoding="utf-8")


def test_reward_functions() -> None:
    trl, verl = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(trl, names)
    responses = [r"\boxed{\frac12}", r"\boxed{3}", r"\boxed{\log 3}"]
    golds = ["0.5", "0.5", r"\ln 3"]
    with names["pool"]:
        assert names["reward"](responses, golds, prompts=[]) == [1.0, 0.0, None]
        assert names["reward"]([[{"role": "assistant", "content": responses[0]}]], ["0.5"]) == [1.0]
    exec(verl, names)
    assert [names["compute_score"]("math", text, gold) for gold, text in zip(golds, responses, strict=True)] == [
        1.0,
        0.0,
        0.0,
    ]


def _rows() -> list[tuple[str, str, str]]:
    """Each "ANSWER for GOLD" in code of the table, with whether it stands in the column of what is right."""
    found = []
    for line in PAGE.splitlines():
        cells = re.split(r"(?<!\\) \| ", line.strip("| "))
        if len(cells) == 3:
            for column, expected in ((1, "right"), (2, "not right")):
                text = cells[column].replace(r"\|", "|")
                found += [(answer, gold, expected) for answer, gold in re.findall(r"`([^`]+)` for `([^`]+)`", text)]
    return found


def test_the_table_is_read() -> None:
    assert len(_rows()) > 35


@pytest.mark.parametrize(("answer", "gold", "expected"), _rows())
def test_the_rules_hold(answer: str, gold: str, expected: str) -> None:
    verdict = fast(gold, answer)
    assert verdict is not None
    assert (verdict.outcome == "right") == (expected == "right")
