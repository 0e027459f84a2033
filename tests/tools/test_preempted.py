"""Preempted jobs as Snakemake's plugin for Slurm hears of them, with a squeue that answers as it is told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import ModuleType

import pytest

from tokencredit.tools.preempted import fail_preempted


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a squeue, the only command on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "squeue"


def heard(queue: Path, answer: str, *states: dict[str, str] | None) -> list[dict[str, str] | None]:
    """What the plugin hears where its own question is answered with ``states``, one after the other, and squeue gives ``answer``."""
    queue.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    queue.chmod(0o755)
    answers = iter(states)
    plugin = ModuleType("plugin")

    async def ask(command: str, logger: logging.Logger) -> tuple[dict[str, str] | None, float]:
        return next(answers), 0.1

    plugin.query_job_status = ask  # type: ignore[attr-defined]
    fail_preempted(plugin)
    logger = logging.getLogger(__name__)
    return [asyncio.run(plugin.query_job_status("sacct", logger))[0] for _ in states]


def test_a_job_that_stays_preempted_has_failed_and_that_is_said_once(
    queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states = {"1": "PREEMPTED", "2": "RUNNING"}
    assert heard(queue, "echo PREEMPTED", {**states}, {**states}) == [{"1": "CANCELLED", "2": "RUNNING"}] * 2
    (message,) = caplog.messages
    assert message == "Slurm job 1 was preempted and cancelled: Slurm does not start it again, so it has failed."


def test_so_has_one_that_squeue_has_forgotten(queue: Path) -> None:
    answer = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    assert heard(queue, answer, {"1": "PREEMPTED"}) == [{"1": "CANCELLED"}]


@pytest.mark.parametrize(
    "answer", ["echo PENDING", "echo RUNNING", "echo 'Unable to contact slurm controller' >&2; exit 1"]
)
def test_one_that_may_come_again_is_waited_for(queue: Path, answer: str, caplog: pytest.LogCaptureFixture) -> None:
    assert heard(queue, answer, {"1": "PREEMPTED"}) == [{"1": "PREEMPTED"}]
    assert not caplog.messages


def test_no_answer_stays_none(queue: Path) -> None:
    assert heard(queue, "exit 1", None) == [None]
