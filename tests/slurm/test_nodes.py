"""A run that is spread over two nodes, and a node that dies under a run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.submitted import (
    RUN,
    Submitted,
    goes_on_from,
    metrics,
    restarts,
    said_of,
    saved,
    scontrol,
    to_be_trained,
)
from tests.workflow.project import Project
from tokencredit import files

SECOND = "second"


@pytest.fixture
def second(cluster: Path) -> Iterator[Path]:
    """The pid file of the second node's slurmd, which is at work again after the test."""
    pid = cluster / f"slurmd-{SECOND}.pid"
    yield pid
    if not Path(f"/proc/{pid.read_text(encoding='utf-8').strip()}").exists():
        subprocess.run(["slurmd", "-N", SECOND], check=True)


def test_a_run_over_two_nodes_is_that_of_one(finished: Project, done: Project) -> None:
    submitted = Submitted(to_be_trained(done, nodes=2, partition="both"), f"{RUN}/run.json")
    submitted.wait()
    (job,) = submitted.jobs("train")
    assert {"JobState=COMPLETED", "NumNodes=2", "NumTasks=2"} <= said_of(job.id)
    assert files.read_json(done.folder / RUN / "run.json")["processes"] == 2
    lines, alone = (files.read_jsonl(project.folder / RUN / "metrics.jsonl") for project in (done, finished))
    assert len(lines) == 3
    for line, expected in zip(lines, alone, strict=True):
        numbers = {name: value for name, value in expected.items() if value is not None}
        assert {name: line[name] for name in numbers} == pytest.approx(numbers, rel=1e-3, abs=1e-6)


def test_a_run_over_two_nodes_that_is_warned_saves_and_goes_on(done: Project) -> None:
    submitted = Submitted(to_be_trained(done, steps=20, nodes=2, partition="both"), f"{RUN}/run.json")
    job = submitted.held().id
    kept = saved(done)
    scontrol("update", f"JobId={job}", "EndTime=now+120")
    submitted.until(lambda: restarts(job) == 1)
    with contextlib.suppress(subprocess.CalledProcessError):
        scontrol("update", f"JobId={job}", "TimeLimit=10")
    submitted.wait()
    assert [each.id for each in submitted.jobs("train")] == [job]
    assert {"JobState=COMPLETED", "NumNodes=2"} <= said_of(job)
    assert goes_on_from(kept, done)
    assert metrics(done).count(b"\n") == 20


def test_a_node_that_dies_hands_its_run_to_the_other(left_alone: Submitted, done: Project, second: Path) -> None:
    """slurmd and all that ran below it end at once, as when a machine does, and the node is taken out of use."""
    submitted = Submitted(to_be_trained(done, steps=20, partition="both"), f"{RUN}/run.json")
    job = submitted.held().id
    kept = saved(done)
    assert f"NodeList={SECOND}" in said_of(job)
    for pid in [int(second.read_text(encoding="utf-8")), *processes_of(job)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    scontrol("update", f"NodeName={SECOND}", "State=DOWN", "Reason=test")
    submitted.wait()
    left_alone.wait()
    assert [each.id for each in submitted.jobs("train")] == [job]
    assert "JobState=COMPLETED" in said_of(job)
    assert f"NodeList={SECOND}" not in said_of(job)
    assert restarts(job) == 1
    assert goes_on_from(kept, done)
    assert metrics(done) == metrics(left_alone.project)


def processes_of(job: str) -> list[int]:
    """The processes of a job on this machine, and those of Slurm that watch over its steps."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, settings = ((folder / name).read_bytes() for name in ("cmdline", "environ"))
            if f"SLURM_JOB_ID={job}".encode() in settings.split(b"\0") or command.startswith(
                f"slurmstepd: [{job}.".encode()
            ):
                found.append(int(folder.name))
    return found
