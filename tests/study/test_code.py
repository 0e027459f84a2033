"""What the digest of a job's code covers: its own embedded task and not the others, though no import leads to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tokencredit import provenance
from tokencredit.config import load_study
from tokencredit.data.tasks import TASKS
from tokencredit.study.code import data_code, exhibit_code, pretraining_code


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The jobs whose digest is another one after an edit of a file; edits add up."""
    studies = [load_study("config", name) for name in ("toy", "toy-paths", "paper-7b")]
    codes = {
        "a file": lambda: data_code(None),
        **{f"data of {task}": lambda task=task: data_code(task) for task in TASKS},
        **{f"models of {task}": lambda task=task: pretraining_code(task) for task in TASKS},
        **{f"tables of {study.name}": lambda study=study: exhibit_code(study, "analysis.tables") for study in studies},
    }
    before = {name: code() for name, code in codes.items()}
    copy = shutil.copytree(provenance.PACKAGE, tmp_path / "tokencredit", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)

    def edit(path: str, old: str, new: str) -> set[str]:
        text = (copy / path).read_text(encoding="utf-8")
        assert old in text
        (copy / path).write_text(text.replace(old, new), encoding="utf-8")
        return {name for name, code in codes.items() if code() != before[name]}

    return edit


def test_a_task_decides_its_own_data_models_and_exhibits(changed) -> None:
    assert changed("data/tasks/graph_paths.py", "WRONG_TURN = 0.1", "WRONG_TURN = 0.2") == {
        "data of graph-paths",
        "models of graph-paths",
        "tables of toy-paths",
    }


def test_what_tasks_share_decides_those_of_all_and_nothing_of_released_models(changed) -> None:
    assert changed("data/phrasing.py", '"Okay"', '"Fine then"') == {
        *(f"{made} of {task}" for made in ("data", "models") for task in TASKS),
        "tables of toy",
        "tables of toy-paths",
    }
