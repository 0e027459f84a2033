from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.submitted import (
    RUN,
    SNAKEMAKE,
    STUDY,
    USER,
    Submitted,
    at_home,
    can_run_python,
    to_be_trained,
)
from tests.workflow.project import Project, new_project

ORACLE = (
    "oracle: {policies: [base], seed: 0, continuations: 8, fewest: 3, rest: 2, most_tokens: 3}\nattribution: true\n\n"
)
CLUSTER = Path(__file__).with_name("cluster.sh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slurm")


@pytest.fixture(scope="session")
def everyones() -> Iterator[Path]:
    """A folder that every user can reach; those of pytest are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="tokencredit-slurm-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def cluster(everyones: Path) -> Iterator[Path]:
    """The folder of a Slurm that runs for these tests only. Another test run on this machine is waited for: there can be one Slurm."""
    folder = everyones / "cluster"
    folder.mkdir()
    with Path("/tmp/tokencredit-tests-slurm.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([CLUSTER, "start", folder], check=True)
        yield folder
        subprocess.run([CLUSTER, "stop", folder], check=True)


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder on another file system than the projects of the tests."""
    with tempfile.TemporaryDirectory(prefix="tokencredit-slurm-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def studied(cluster: Path, everyones: Path, memory: Path) -> Submitted:
    """The smoke study from data to report, with half its methods and no oracle, every job a Slurm job; not to be changed.

    Its user is ``USER``, with a group that may write, the profile named by the environment, and results on another file system.
    """
    project = new_project(everyones / "project")
    project.replace(STUDY, "methods: [grpo, eapo, phr, eapo-without-nhr]", "methods: [grpo, eapo-without-nhr]")
    project.replace(STUDY, "    - {benchmark: toy-tier2, samples: 4, problems: 8}\n", "")
    project.replace(STUDY, ORACLE, "")
    project.replace(STUDY, "  generate: {", "  generate: {threads: 3, ")
    (project.folder / "results").symlink_to(memory)
    settings = {**os.environ, "SNAKEMAKE_PROFILE": "slurm", "HOME": str(project.folder / "home")}
    started: dict[str, Any] = {"env": settings, "umask": 0o002}
    if can_run_python(USER):
        subprocess.run(["chown", "-R", f"{USER}:{USER}", project.folder, memory], check=True)
        started |= {"user": USER, "group": USER, "extra_groups": []}
    submitted = Submitted(project, command=SNAKEMAKE, **started)
    submitted.wait()
    return submitted


@pytest.fixture(scope="session")
def finished(studied: Submitted, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished smoke study, not to be changed."""
    return at_home(studied.project, tmp_path_factory.mktemp("finished") / "project")


@pytest.fixture(scope="session")
def left_alone(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A run that is long enough to be stopped in, under way, and is not: what the others are held against."""
    project = to_be_trained(finished.copy(tmp_path_factory.mktemp("left-alone") / "project"), steps=20)
    return Submitted(project, f"{RUN}/run.json")


@pytest.fixture(scope="session")
def failing(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A run that cannot succeed, under way: its model is damaged."""
    project = to_be_trained(finished.copy(tmp_path_factory.mktemp("failing") / "project"))
    (project.folder / "results/models/embedded-smoke/config.json").write_text("broken", encoding="utf-8")
    return Submitted(project, f"{RUN}/run.json")


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    """The finished smoke study, to be changed."""
    return finished.copy(tmp_path / "project")
