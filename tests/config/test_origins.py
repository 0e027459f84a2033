"""The paper's studies say beside every value whether the paper states it, and where, or whether it was chosen here."""

from __future__ import annotations

import re

import pytest

from tests.config.test_project import PAPER, ROOT

NAMES_A_PLACE = re.compile(r"paper(, |: )", re.IGNORECASE)
CHOSEN = re.compile(r"chosen here", re.IGNORECASE)


def without_origin(text: str) -> list[str]:
    """The keys of ``training`` and ``evaluation`` with no origin behind the value or in the comment right above or below the key."""
    lines = text[text.index("\ntraining:") : text.index("\nresources:")].splitlines()
    missing = []
    for number, line in enumerate(lines):
        if match := re.match(r"  ([a-z_]+):", line):
            _, _, behind = line.partition("#")
            above = " ".join(_comments(lines[number - 1 :: -1]))
            below = " ".join(_comments(lines[number + 1 :]))
            if not any(
                origin.search(comment) for origin in (NAMES_A_PLACE, CHOSEN) for comment in (behind, above, below)
            ):
                missing.append(match[1])
    return missing


def _comments(lines: list[str]) -> list[str]:
    """The comment lines at the start of ``lines``."""
    found = []
    for line in lines:
        if not line.lstrip().startswith("#"):
            break
        found.append(line)
    return found


@pytest.mark.parametrize("name", PAPER)
def test_every_value_has_its_origin(name: str) -> None:
    text = (ROOT / f"config/studies/{name}.yaml").read_text(encoding="utf-8")
    assert without_origin(text) == [], "say in a comment where the paper states it, or that it was chosen here"


def test_a_value_without_a_word_is_named() -> None:
    text = (ROOT / "config/studies/paper-7b.yaml").read_text(encoding="utf-8")
    assert without_origin(text.replace("  steps: 220 # paper, set-up", "  steps: 220 # set-up")) == ["steps"]
