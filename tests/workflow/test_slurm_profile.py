"""What the Slurm profile would submit, asked without a Slurm; ``tests/slurm`` submits it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yte

from tests.workflow.project import ROOT, Project

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


def default_profile(monkeypatch: pytest.MonkeyPatch, *words: str, **environment: str) -> dict[str, Any]:
    """The default profile as Snakemake reads it when it is called with ``words``."""
    monkeypatch.setattr(sys, "argv", ["snakemake", *words])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (path,) = (ROOT / "workflow/profiles/default").glob("*.yaml")
    return yte.process_yaml(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "words",
    [
        ("--profile", "slurm"),
        ("--profile=slurm", "-n"),
        ("--prof", "slurm"),
        ("--pro=slurm",),
        ("-e", "slurm"),
        ("--executor", "slurm"),
    ],
)
def test_jobs_of_a_cluster_are_not_bound_to_the_cores_of_the_login_node(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert "cores" not in default_profile(monkeypatch, *words)


def test_nor_where_the_profile_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    for words in ((), ("--printshellcmds",), ("-n", "--prioritize", "x"), ("--keep-incomplete",)):
        assert default_profile(monkeypatch, *words)["cores"] == "all"
    assert "cores" not in default_profile(monkeypatch, SNAKEMAKE_PROFILE="slurm")
