"""The recipes of CONTRIBUTING.md, each followed as it stands there, in a copy of the project."""

from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest

from tests.workflow import recipes
from tests.workflow.project import ROOT, Project
from tokencredit.files import read_json

pytestmark = pytest.mark.workflow
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def follow(heading: str, project: Project) -> list[str]:
    return recipes.follow(recipes.section(TEXT, heading), project)


def test_every_block_names_its_file_or_is_a_command() -> None:
    blocks = recipes.BLOCK.findall(TEXT)
    assert len(blocks) == TEXT.count("\n```") / 2 > 10
    assert all((language == "sh") == (not name) for language, name, _ in blocks)


def test_a_method(done: Project) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.folder.glob("results/smoke/runs/*/seed0/run.json")}
    follow("A method", done)
    run = read_json(done.folder / "results/smoke/runs/first-half/seed0/run.json")
    assert run["config"]["params"] == {"tokens": 16}
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_figure(done: Project) -> None:
    _, traced = follow("A figure or a table", done)
    drawn = pd.read_csv(done.folder / "results/smoke/figures/lengths.csv")
    assert list(drawn) == ["step", "response_tokens", "method"]
    assert len(drawn) == 4 * 3
    assert "runs/eapo/seed0/metrics.jsonl" in traced
    assert "runs/grpo" not in traced


def test_an_embedded_task(project: Project) -> None:
    shutil.copytree(ROOT / "tests", project.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", project.folder)
    made, tested = follow("An embedded task", project)
    assert "rule pretrain:" in made
    problems = pd.read_parquet(project.folder / "results/data/largest-test/problems.parquet")
    assert problems["problem"].str.fullmatch(r"Largest of( \d+){7}\?").all()
    assert len(problems) == 100
    assert read_json(project.folder / "results/models/embedded-largest/model.json")["config"]["task"] == "largest"
    assert " passed" in tested
    assert "largest" in project.python("-m", "pytest", "tests/data/tasks/test_tasks.py", "--collect-only", "-q").stdout


def test_a_base_model(project: Project) -> None:
    planned, listed = follow("A base model", project)
    assert re.search(r"train +grpo", planned.replace("│", " "))
    assert "results/models/smollm2-135m/model.json" in listed
    assert "results/smollm2/runs/eapo/seed0/run.json" in listed


def test_a_grader(project: Project) -> None:
    follow("A benchmark with a grader of its own", project)
    audit = read_json(project.folder / "results/smoke/audit/toy-decimals.json")
    assert (audit["grader"], audit["gold_right"], audit["junk_right"]) == ("decimals", 200, 0)
