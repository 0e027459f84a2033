"""One trainer at a time in a run's folder: on this machine by the kernel's lock, on others by the owner's name and its age."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokencredit.train.lock import LEASE, exclusive, owner_of

INSIDE = """
import sys
from tokencredit.train.lock import exclusive
with exclusive(sys.argv[1], renew=float(sys.argv[2]), lease=float(sys.argv[3])):
    print("inside", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(
    folder: Path, renew: float = 20, lease: float = LEASE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """One that has the folder, until it is killed or told to end."""
    command = [sys.executable, "-c", INSIDE, str(folder), str(renew), str(lease)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env={**os.environ, **environment}, **pipes) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "inside\n"
            yield other
        finally:
            other.kill()


def written(folder: Path, host: str, seconds_ago: float) -> None:
    """A lock of a process on ``host`` that gave its last sign ``seconds_ago``."""
    owner = {"host": host, "pid": 7, "slurm_job": "42", "since": "2026-01-01 00:00:00"}
    (folder / ".lock").write_text(json.dumps(owner), encoding="utf-8")
    then = time.time() - seconds_ago
    os.utime(folder / ".lock", (then, then))


@pytest.mark.slow
def test_a_folder_is_one_process_s_until_that_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with another_process(tmp_path, SLURM_JOB_ID="42") as other:
        threading.Timer(0.5, other.kill).start()
        with exclusive(tmp_path):
            assert other.wait() == -signal.SIGKILL
    said = capfd.readouterr().err
    owner = f"process {other.pid} on {socket.gethostname()} (Slurm job 42) since "
    assert said.count(f"{tmp_path}: waiting for {owner}") == 1


def test_a_folder_that_was_left_is_free_at_once_for_another_machine(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        owner = json.loads((tmp_path / ".lock").read_text(encoding="utf-8"))
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert (tmp_path / ".lock").read_text(encoding="utf-8").strip() == ""


def test_an_owner_on_another_machine_is_waited_for_until_its_name_is_old(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where the file system does not tell this machine of the other's lock."""
    written(tmp_path, "elsewhere", seconds_ago=9)
    with exclusive(tmp_path, lease=10):
        pass
    assert "waiting for process 7 on elsewhere (Slurm job 42) since 2026-01-01 00:00:00" in capfd.readouterr().err
    written(tmp_path, "elsewhere", seconds_ago=11)
    with exclusive(tmp_path, lease=10):
        assert "waiting" not in capfd.readouterr().err


def test_a_file_system_without_locks_is_told_by_the_name_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    written(tmp_path, socket.gethostname(), seconds_ago=9)
    with exclusive(tmp_path, lease=10):
        pass
    assert "waiting for process 7" in capfd.readouterr().err


@pytest.mark.slow
def test_an_owner_renews_its_name(tmp_path: Path) -> None:
    with another_process(tmp_path, renew=0.05):
        os.utime(tmp_path / ".lock", (0, 0))
        for _ in range(200):
            if (tmp_path / ".lock").stat().st_mtime > 0:
                return
            time.sleep(0.05)
    pytest.fail("the name was not renewed")


def test_an_owner_that_was_taken_over_ends(tmp_path: Path) -> None:
    """As one that was suspended for so long that it seemed gone, on a file system without locks."""
    with another_process(tmp_path, renew=0.05) as other:
        written(tmp_path, "elsewhere", seconds_ago=0)
        assert other.wait(timeout=30) == 1
        assert other.stderr is not None
        assert f"{tmp_path}: taken over by process 7 on elsewhere" in other.stderr.read()


def test_who_works_in_a_folder_can_be_asked_without_taking_it(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "never") is None
    with another_process(tmp_path) as other:
        owner = owner_of(tmp_path)
        assert owner is not None
        assert (owner.host, owner.pid) == (socket.gethostname(), other.pid)
        other.kill()
        other.wait()
        assert owner_of(tmp_path) is None
    for seconds_ago, there in ((LEASE - 60, True), (LEASE + 60, False)):
        written(tmp_path, "elsewhere", seconds_ago)
        before = (tmp_path / ".lock").stat()
        assert (owner_of(tmp_path) is not None) == there
        assert (tmp_path / ".lock").stat().st_mtime == before.st_mtime
    with exclusive(tmp_path, lease=10):
        pass
    assert owner_of(tmp_path) is None


def test_an_owner_that_cannot_renew_its_name_ends(tmp_path: Path) -> None:
    with another_process(tmp_path, renew=0.05, lease=0.5) as other:
        (tmp_path / ".lock").unlink()
        assert other.wait(timeout=30) == 1
        assert other.stderr is not None
        assert f"{tmp_path}: its lock could not be renewed for 0.5 seconds" in other.stderr.read()


def test_who_gives_up_waiting_keeps_nothing(tmp_path: Path) -> None:
    with another_process(tmp_path) as other:
        with exclusive(tmp_path, give_up=lambda: True) as inside:
            assert not inside
        owner = owner_of(tmp_path)
        assert owner is not None
        assert owner.pid == other.pid
