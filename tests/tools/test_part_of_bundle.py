"""The records of a bundle are enough for some studies, whose pages can be made from it, and for no others."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.tools import bundle

ROOT = Path(__file__).parents[2]
BUNDLE = Path("toy-core.tar.gz")


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("toy-ablation", r"eapo-without-phr/seed0"),
        ("toy", r"records of its own"),
        ("toy-full", r"records of its own"),
    ],
)
def test_a_study_with_other_records_is_refused(monkeypatch: pytest.MonkeyPatch, part: str, why: str) -> None:
    commands = _without_work(monkeypatch)
    with pytest.raises(
        UserError, match=rf"holds the records of toy-core, which are not enough for {part}: it has .*{why}"
    ):
        bundle.rebuild(BUNDLE, "1", part)
    assert commands == []


def test_the_page_of_a_part_is_made_and_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _without_work(monkeypatch)
    assert bundle.rebuild(BUNDLE, "2", "toy-paper")
    (command,) = commands
    assert command[3:8] == ["--cores", "2", "results/toy-paper/index.html", "--config", "study=toy-paper"]


def test_records_from_before_a_figure_was_added_are_enough_where_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever adds a figure can draw it, and the page with it, from the shipped records."""
    named = bundle._exhibits
    monkeypatch.setattr(bundle, "_exhibits", lambda study: [*named(study), f"{study.name}/figures/new.csv"])
    shipped = ROOT / "docs" / "results" / BUNDLE, ROOT / "config", tmp_path
    with pytest.raises(UserError, match=r"each once: toy-core/figures/new\.csv\. A bundle that was packed before"):
        bundle.restore(*shipped)
    assert list(tmp_path.iterdir()) == []
    assert bundle.restore(*shipped, compared=False) == ("toy-core", f"{tmp_path}/toy-core/index.html")
    assert (tmp_path / "toy-full" / "runs" / "eapo" / "seed0" / "run.json").is_file()


def test_a_failed_job_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = _without_work(monkeypatch, status=1)
    with pytest.raises(UserError, match=r"could not make results/toy-paper/index\.html from it; which job failed"):
        bundle.rebuild(BUNDLE, "2", "toy-paper")
    assert commands[1][3:] == ["status", "--config", "study=toy-paper"]


def test_what_is_shown_at_once_needs_nothing_but_records_that_are_shipped() -> None:
    """``make quick``: the study in it is a part of the one whose bundle stands in the repository, and asks whether EAPO beats DAPO."""
    makefile = (ROOT / "Makefile").read_text()
    assert "rebuild docs/results/toy-core.tar.gz --part toy-paper" in makefile
    shipped, part = (Config(ROOT / "config").study(name) for name in ("toy-core", "toy-paper"))
    assert {row.path for row in part.rows} <= {row.path for row in shipped.rows}
    assert part.training.seeds == shipped.training.seeds
    assert {"eapo", "dapo"} <= {*part.methods}


def _without_work(monkeypatch: pytest.MonkeyPatch, status: int = 0) -> list[list[str]]:
    """The commands that are run, which do nothing and end with ``status``."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        commands.append(command)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(bundle, "restore", lambda *_, **__: ("toy-core", "results/toy-core/index.html"))
    monkeypatch.setattr(bundle.subprocess, "run", run)
    return commands
