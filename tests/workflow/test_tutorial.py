"""docs/tutorial.md, followed as it stands there, in a copy of the project where `make smoke` was run."""

from __future__ import annotations

import pytest

from tests.workflow.project import ROOT, Project
from tests.workflow.recipes import BLOCK, follow, section
from tokencredit.files import read_json

pytestmark = pytest.mark.workflow
TEXT = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")


def test_it_is_short_and_every_block_names_its_file_or_is_a_command() -> None:
    assert len(TEXT.split()) <= 700
    blocks = BLOCK.findall(TEXT)
    assert len(blocks) == TEXT.count("\n```") / 2 > 5
    assert all((language == "sh") == (not name) for language, name, _ in blocks)


def test_what_it_says_of_its_commands_is_so(done: Project) -> None:
    runs = {path: path.stat().st_mtime_ns for path in done.folder.glob("results/smoke/runs/*/seed0/run.json")}
    status, traced = follow(section(TEXT, "Read"), done)
    assert "failed " not in status.partition("\n")[2]
    assert "runs/eapo/seed0/run.json" in traced

    planned, scored = follow(section(TEXT, "Change one thing"), done)
    assert "generate" in planned
    assert "train" not in planned
    assert "toy-tier2" in scored
    assert "output: results/smoke/eval/eapo/seed0/toy-tier1" not in scored

    follow(section(TEXT, "Add a method"), done)
    run = read_json(done.folder / "results/smoke/runs/skip-start/seed0/run.json")
    assert run["config"]["params"] == {"tokens": 8}
    assert all(path.stat().st_mtime_ns == time for path, time in runs.items())

    (compared,) = follow(section(TEXT, "Compare"), done, status=1)
    assert "skip-start" in compared
    assert "learning_rate" not in compared
