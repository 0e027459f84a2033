"""What holds for all tests: nothing is downloaded, time limits of property tests do not depend on the machine, and which tests of a
run in several processes stay together.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

# Fixtures that take long: tests that ask for one are slow.
LONG = ("trained", "made", "finished")
# One that takes longest, and is made once for all processes.
FINISHED = "finished"
# Folders of which each is left to one process of ``make test``, for their tests share what every process would make for itself.
SHARED = ("tests/analysis/", "tests/train/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out by file, for fixtures of a file are made once then, and by folder where ``SHARED`` says so.

    Groups of tests (``--dist loadgroup``) would be told by marks, which xdist 3.8 loses under pytest 9.2.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFolderOrFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in SHARED if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return ByFolderOrFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that ask for a fixture that takes long, or read real data, are slow.

    In several processes the longest come first, so that none of them is left to one process at the end. One file of tests that need
    ``FINISHED`` is the very first: a process makes it while the others have something else to do.
    """
    for item in items:
        if any(name in item.fixturenames for name in LONG) or item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.slow)
    if "PYTEST_XDIST_WORKER" in os.environ:
        first = min((_file(item) for item in items if FINISHED in item.fixturenames), default=None)
        items.sort(
            key=lambda item: (
                _file(item) != first,
                not item.nodeid.startswith(SHARED),
                FINISHED not in item.fixturenames,
                not item.get_closest_marker("slow"),
            )
        )


def _file(item: pytest.Item) -> str:
    return item.nodeid.split("::")[0]
