"""What the Slurm profile would submit, asked without a Slurm; ``tests/slurm`` submits it."""

from __future__ import annotations

import pytest

from tests.workflow.project import Project

pytestmark = pytest.mark.workflow
RUN = "results/smoke/runs/eapo/seed0/run.json"
CLUSTER = ("--default-resources", "slurm_partition=short", "slurm_account=maths")


def resources(project: Project, *arguments: str) -> str:
    """The resources of the training run, as a dry run prints them."""
    told = project.run("-n", RUN, "--profile", "slurm", *arguments).stdout
    (line,) = [line for line in told.split("rule train:")[1].splitlines() if line.startswith("    resources: ")]
    return line


def test_a_cluster_is_said_once_for_all_jobs(fresh: Project) -> None:
    assert "slurm_partition" not in resources(fresh)
    asked = resources(fresh, *CLUSTER)
    assert "slurm_partition=short" in asked
    assert "slurm_account=maths" in asked
    assert "slurm_extra=--signal=TERM@150 --open-mode=append" in asked


def test_a_study_goes_before_the_cluster(project: Project) -> None:
    project.replace("config/studies/smoke.yaml", "  train: {", "  train: {partition: long, ")
    assert "slurm_partition=long" in resources(project, *CLUSTER)
    assert "slurm_account=maths" in resources(project, *CLUSTER)


def test_the_cluster_s_flags_reach_a_job_that_has_its_own(fresh: Project) -> None:
    asked = resources(fresh, "--default-resources", "slurm_extra='--reservation=week --exclusive'")
    assert "slurm_extra=--reservation=week --exclusive --signal=TERM@150 --open-mode=append" in asked


def test_prefetch_is_what_comes_from_elsewhere(fresh: Project) -> None:
    jobs = fresh.jobs("--profile", "slurm", "prefetch")
    assert {job.rule for job in jobs} == {"fetch", "prepare"}
