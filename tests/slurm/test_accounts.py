"""What Slurm's accounts allow: a quality of service that limits GPUs."""

from __future__ import annotations

import subprocess

from tests.slurm.submitted import RUN, Submitted, occupy, to_be_trained
from tests.workflow.project import Project


def test_a_job_over_the_limit_of_its_user_waits(done: Project) -> None:
    """Although the node has a second GPU."""
    taken = occupy("--gpus=1", "--qos=one-gpu")
    try:
        submitted = Submitted(to_be_trained(done, gpu=1, qos="one-gpu"), f"{RUN}/run.json")
        submitted.until(lambda: [job for job in submitted.jobs("train") if job.reason == "QOSMaxGRESPerUser"])
    finally:
        subprocess.run(["scancel", taken], check=True)
    submitted.wait()
    assert [job.state for job in submitted.jobs("train")] == ["COMPLETED"]


def test_a_job_that_may_never_run_is_refused_in_a_sentence(done: Project) -> None:
    submitted = Submitted(to_be_trained(done, gpu=2, qos="small-jobs"), f"{RUN}/run.json")
    said = submitted.wait(status=1)
    assert "sbatch: error: QOSMaxGRESPerJob" in said
    assert "Job violates accounting/QOS policy" in said
    assert submitted.jobs("train") == []
