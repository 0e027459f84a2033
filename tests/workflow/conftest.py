from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from tests.workflow.project import Project, new_project


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project without results, for dry runs; tests that change a file take ``project``."""
    return new_project(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project without results, to be changed."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with the smoke study run to its end, by the first process of ``make test`` that asks for it; not to be changed."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(common / "finished.lock"):
        if not (common / "finished").exists():
            made = new_project(tmp_path_factory.mktemp("made") / "project")
            made.make("--config", "study=smoke")
            made.folder.rename(common / "finished")
    return Project(common / "finished")


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    """The finished smoke study, to be changed."""
    return finished.copy(tmp_path / "done")
