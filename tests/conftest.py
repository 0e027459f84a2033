"""What holds for all tests: nothing is downloaded, time limits of property tests do not depend on the machine, and which tests of a
run in several processes stay together.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

# Fixtures that take long. Each process of `make test` makes its own, so the tests that ask for one stay in one process.
SHARED = ("trained", "made")
# One that takes longest, and is made once for all processes.
FINISHED = "finished"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that ask for a fixture that takes long are slow and stay in one process; others stay with those of their file.
    Tests that read real data are slow too.

    In several processes the longest come first, so that none of them is left to one process at the end.
    """
    in_processes = config.getoption("dist", default="no") == "loadgroup"
    for item in items:
        shared = next((name for name in SHARED if name in item.fixturenames), None)
        if shared or FINISHED in item.fixturenames or item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.slow)
        if in_processes:
            item.add_marker(pytest.mark.xdist_group(shared or item.location[0]))
    if in_processes:
        items.sort(key=lambda item: (FINISHED not in item.fixturenames, not item.get_closest_marker("slow")))
