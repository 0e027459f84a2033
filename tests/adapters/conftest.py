from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # scripted rollouts are TRL's experiment


@pytest.fixture(scope="module")
def frozen_garbage() -> Iterator[None]:
    """Accelerate collects garbage at every start of training: half a second for the modules alone, unless they are left out."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
