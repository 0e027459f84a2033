"""A run that Slurm stops in one way or another goes on, and ends as if it had not been stopped."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.slurm.submitted import RUN, SlurmJob, Submitted, metrics, scontrol, to_be_trained


@dataclass(frozen=True)
class Trained:
    """A finished run, and its Slurm jobs."""

    metrics: bytes
    jobs: list[SlurmJob]
    restarts: int


@pytest.fixture(scope="module")
def trained(studied: Submitted, failing: Submitted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """The same run, long enough to be stopped in, four times side by side: left alone, requeued, warned of its time limit, ended by it.

    ``failing`` is asked for to be under way meanwhile: it mostly waits.
    """
    folder = tmp_path_factory.mktemp("interrupted")
    submitted: dict[str, Submitted] = {}
    for name in ("left alone", "requeued", "warned", "ended"):
        project = to_be_trained(studied.project.copy(folder / name.replace(" ", "-")), steps=60)
        submitted[name] = Submitted(project, f"{RUN}/run.json")
    # Slurm looks at time limits twice a minute, and warns up to half a minute too early.
    scontrol("update", f"JobId={submitted['ended'].training().id}", "EndTime=now+1")
    scontrol("update", f"JobId={submitted['warned'].training().id}", "EndTime=now+120")
    scontrol("requeue", submitted["requeued"].training().id)
    found = {}
    for name, each in submitted.items():
        each.wait()
        jobs = each.jobs("train")
        (restarts,) = [word for word in scontrol("show", "job", jobs[0].id).split() if word.startswith("Restarts=")]
        found[name] = Trained(metrics(each.project), jobs, int(restarts.removeprefix("Restarts=")))
    return found


def test_a_run_that_is_left_alone_is_one_job(trained: dict[str, Trained]) -> None:
    run = trained["left alone"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 0)
    assert run.metrics.count(b"\n") == 60


def test_a_requeued_run_goes_on_in_its_job(trained: dict[str, Trained]) -> None:
    """As one that is preempted, which Slurm requeues too."""
    run = trained["requeued"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_is_warned_of_its_time_limit_saves_and_queues_again(trained: dict[str, Trained]) -> None:
    run = trained["warned"]
    assert ([job.state for job in run.jobs], run.restarts) == (["COMPLETED"], 1)
    assert run.metrics == trained["left alone"].metrics


def test_a_run_that_its_time_limit_ends_is_tried_again_with_more_time(trained: dict[str, Trained]) -> None:
    run = trained["ended"]
    assert [job.state for job in run.jobs] == ["TIMEOUT", "COMPLETED"]
    assert run.jobs[1].limit == "20:00"
    assert run.metrics == trained["left alone"].metrics
