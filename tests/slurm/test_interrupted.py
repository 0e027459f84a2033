"""A run that Slurm stops in one way or another goes on, and ends as if it had not been stopped."""

from __future__ import annotations

import contextlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.slurm.submitted import (
    RUN,
    SlurmJob,
    Submitted,
    goes_on_from,
    metrics,
    restarts,
    saved,
    scontrol,
    to_be_trained,
)


@dataclass(frozen=True)
class Trained:
    """A finished run, and its Slurm jobs."""

    metrics: bytes
    jobs: list[SlurmJob]
    restarts: int
    went_on: bool


@pytest.fixture(scope="module")
def trained(studied: Submitted, failing: Submitted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """The same run, long enough to be stopped in, four times side by side: left alone, requeued, warned of its time limit, ended by it.

    ``failing`` is asked for to be under way meanwhile: it mostly waits.
    """
    folder = tmp_path_factory.mktemp("interrupted")

    def submit(name: str) -> Submitted:
        project = to_be_trained(studied.project.copy(folder / name), steps=20)
        return Submitted(project, f"{RUN}/run.json")

    # Slurm looks at time limits twice a minute.
    ended = submit("ended")
    job = ended.held().id
    kept = {"ended": saved(ended.project)}
    scontrol("update", f"JobId={job}", "EndTime=now+1")
    # The warning is due 150 seconds before the end.
    warned = submit("warned")
    job = warned.held().id
    kept["warned"] = saved(warned.project)
    scontrol("update", f"JobId={job}", "EndTime=now+145")
    with ThreadPoolExecutor() as beside:
        raised = beside.submit(_more_time, warned, job)
        requeued = submit("requeued")
        again = requeued.held().id
        kept["requeued"] = saved(requeued.project)
        scontrol("requeue", again)
        left_alone = submit("left-alone")
        raised.result()
    found = {}
    submitted = {"left alone": left_alone, "requeued": requeued, "warned": warned, "ended": ended}
    for name, each in submitted.items():
        each.wait()
        jobs = each.jobs("train")
        went_on = name in kept and goes_on_from(kept[name], each.project)
        found[name] = Trained(metrics(each.project), jobs, restarts(jobs[0].id), went_on)
    return found


def _more_time(run: Submitted, job: str) -> None:
    """Raise the time limit of a job as soon as it is in the queue again: an end that was set by hand is that of its next try too.

    Slurm refuses more time for a job that has ended meanwhile, which needs none.
    """
    run.until(lambda: restarts(job) == 1)
    with contextlib.suppress(subprocess.CalledProcessError):
        scontrol("update", f"JobId={job}", "TimeLimit=10")


def test_a_run_that_is_left_alone_is_one_job(trained: dict[str, Trained]) -> None:
    run = trained["left alone"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 0)
    assert run.metrics.count(b"\n") == 20


def test_a_requeued_run_goes_on_in_its_job(trained: dict[str, Trained]) -> None:
    """As one that is preempted, which Slurm requeues too."""
    run = trained["requeued"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_is_warned_of_its_time_limit_saves_and_queues_again(trained: dict[str, Trained]) -> None:
    run = trained["warned"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_its_time_limit_ends_is_tried_again_with_more_time(trained: dict[str, Trained]) -> None:
    run = trained["ended"]
    assert [job.state for job in run.jobs] == ["TIMEOUT", "COMPLETED"]
    assert run.jobs[1].limit == "20:00"
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics
