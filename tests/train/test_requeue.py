"""What a stopped run says to Slurm, with commands of Slurm that answer as they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokencredit.train import requeue


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, the only ones on the path, in a job's environment."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setattr(requeue, "_PAUSE", 0.0)
    return tmp_path


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho $@ >> {folder}/asked\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text(encoding="utf-8").splitlines()


def test_a_running_job_is_queued_again(slurm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(slurm, "squeue", "echo RUNNING")
    command(slurm, "scontrol", "")
    assert requeue.requeue_job()
    assert asked(slurm)[1:] == ["requeue 42"]
    assert capsys.readouterr().err == "Slurm job 42 is in the queue again\n"


def test_a_job_that_slurm_ends_is_left_to_it(slurm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(slurm, "squeue", "echo COMPLETING")
    command(slurm, "scontrol", "")
    assert not requeue.requeue_job()
    assert len(asked(slurm)) == 1
    assert capsys.readouterr().err == "Slurm job 42 is COMPLETING and left to Slurm\n"


def test_a_busy_controller_is_asked_again(slurm: Path) -> None:
    command(slurm, "squeue", f"[ $(wc -l < {slurm}/asked) -gt 2 ] || exit 1\necho RUNNING")
    (slurm / "wc").symlink_to("/usr/bin/wc")
    command(slurm, "scontrol", "")
    assert requeue.requeue_job()
    assert len(asked(slurm)) == 4


def test_a_refusal_is_told(slurm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(slurm, "squeue", "echo RUNNING")
    command(slurm, "scontrol", "echo Job is not requeueable >&2\nexit 1")
    assert not requeue.requeue_job()
    assert capsys.readouterr().err == "Slurm job 42 cannot be requeued: Job is not requeueable\n"


def test_where_slurm_s_commands_are_missing_it_says_so(slurm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a container."""
    assert not requeue.requeue_job()
    assert "Slurm job 42 cannot be requeued: [Errno 2] No such file or directory: 'squeue'" in capsys.readouterr().err


def test_outside_slurm_nothing_is_asked(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID")
    command(slurm, "squeue", "")
    assert not requeue.requeue_job()
    assert not (slurm / "asked").exists()
