"""A run that Slurm stops in one way or another goes on, and ends as if it had not been stopped."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.slurm.submitted import (
    RUN,
    SlurmJob,
    Submitted,
    accounted,
    goes_on_from,
    metrics,
    occupy,
    restarts,
    said_of,
    saved,
    scontrol,
    to_be_trained,
)
from tests.workflow.project import Project

ACCOUNTS = ("--slurm-status-command", "sacct")


@dataclass(frozen=True)
class Trained:
    """A finished run, what its snakemake said, its Slurm jobs, and how each try of these ended by Slurm's accounts."""

    said: str
    metrics: bytes
    jobs: list[SlurmJob]
    restarts: int
    accounted: list[list[str]]
    went_on: bool


@pytest.fixture(scope="module")
def trained(
    finished: Project, left_alone: Submitted, failing: Submitted, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trained]:
    """The same run six times side by side: left alone, ended by its time limit, warned of it, preempted in two ways, requeued.

    ``failing`` is asked for to be under way meanwhile: it mostly waits.
    """
    folder = tmp_path_factory.mktemp("interrupted")
    submitted = {"left alone": left_alone}
    kept = {}

    def submit(name: str, options: Sequence[str] = (), **needs: str) -> None:
        project = to_be_trained(finished.copy(folder / name), steps=20, **needs)
        submitted[name] = Submitted(project, f"{RUN}/run.json", options=options)

    def held(name: str) -> str:
        job = submitted[name].held().id
        kept[name] = saved(submitted[name].project)
        return job

    # Slurm looks at time limits twice a minute.
    submit("ended")
    scontrol("update", f"JobId={held('ended')}", "EndTime=now+1")
    # The warning is due 150 seconds before the end.
    submit("warned")
    warned = held("warned")
    scontrol("update", f"JobId={warned}", "EndTime=now+145")
    with ThreadPoolExecutor() as beside:
        raised = beside.submit(_more_time, submitted["warned"], warned)
        # Snakemake asks Slurm's accounts about these, which tell the tries of a job apart.
        submit("preempted", ACCOUNTS, partition="requeued")
        submit("cancelled", ACCOUNTS, partition="cancelled")
        submit("requeued", ACCOUNTS)
        held("preempted")
        held("cancelled")
        urgent = occupy("--partition=urgent", "--exclusive")
        scontrol("requeue", held("requeued"))
        submitted["preempted"].until(lambda: "JobState=RUNNING" in said_of(urgent))
        subprocess.run(["scancel", urgent], check=True)
        raised.result()
    found = {}
    for name, each in submitted.items():
        said, jobs = each.wait(), each.jobs("train")
        went_on = name in kept and goes_on_from(kept[name], each.project)
        tries = [accounted(job.id) for job in jobs]
        found[name] = Trained(said, metrics(each.project), jobs, restarts(jobs[0].id), tries, went_on)
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
    assert run.accounted == [["COMPLETED"]]
    assert run.metrics.count(b"\n") == 20


def test_a_requeued_run_goes_on_in_its_job(trained: dict[str, Trained]) -> None:
    run = trained["requeued"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.accounted == [["REQUEUED", "COMPLETED"]]
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_is_preempted_goes_on_in_its_job(trained: dict[str, Trained]) -> None:
    run = trained["preempted"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.accounted == [["PREEMPTED", "COMPLETED"]]
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_is_preempted_and_cancelled_has_failed_and_is_tried_again(trained: dict[str, Trained]) -> None:
    run = trained["cancelled"]
    assert [job.state for job in run.jobs] == ["PREEMPTED", "COMPLETED"]
    assert (
        f"Slurm job {run.jobs[0].id} was preempted and cancelled: Slurm does not start it again, so it has failed."
        in run.said
    )
    assert run.accounted == [["PREEMPTED"], ["COMPLETED"]]
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_is_warned_of_its_time_limit_saves_and_queues_again(trained: dict[str, Trained]) -> None:
    run = trained["warned"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.accounted == [["REQUEUED", "COMPLETED"]]
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_its_time_limit_ends_is_tried_again_with_more_time(trained: dict[str, Trained]) -> None:
    run = trained["ended"]
    assert [job.state for job in run.jobs] == ["TIMEOUT", "COMPLETED"]
    assert run.accounted == [["TIMEOUT"], ["COMPLETED"]]
    assert run.jobs[1].limit == "20:00"
    assert run.went_on
    assert run.metrics == trained["left alone"].metrics
