from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.submitted import RUN, Submitted, to_be_trained
from tests.workflow.project import Project, new_project

CLUSTER = Path(__file__).with_name("cluster.sh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slurm")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a Slurm that runs for these tests only. Another test run on this machine is waited for: there can be one Slurm."""
    folder = tmp_path_factory.mktemp("cluster")
    with Path("/tmp/tokencredit-tests-slurm.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([CLUSTER, "start", folder], check=True)
        yield folder
        subprocess.run([CLUSTER, "stop", folder], check=True)


@pytest.fixture(scope="session")
def studied(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """The smoke study from data to report, every job a Slurm job; not to be changed."""
    project = new_project(tmp_path_factory.mktemp("studied") / "project")
    submitted = Submitted(project)
    submitted.wait()
    return submitted


@pytest.fixture(scope="session")
def failing(studied: Submitted, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A run that cannot succeed, under way: its model is damaged."""
    project = to_be_trained(studied.project.copy(tmp_path_factory.mktemp("failing") / "project"))
    (project.folder / "results/models/embedded-smoke/config.json").write_text("broken", encoding="utf-8")
    return Submitted(project, f"{RUN}/run.json")


@pytest.fixture
def done(studied: Submitted, tmp_path: Path) -> Project:
    """The finished smoke study, to be changed."""
    return studied.project.copy(tmp_path / "project")
