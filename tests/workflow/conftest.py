from __future__ import annotations

from pathlib import Path

import pytest

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
    """The project with the smoke study run to its end; not to be changed."""
    made = new_project(tmp_path_factory.mktemp("finished") / "project")
    made.make("--config", "study=smoke")
    return made


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    """The finished smoke study, to be changed."""
    return finished.copy(tmp_path / "done")
