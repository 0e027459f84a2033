"""What holds for all tests: nothing is downloaded, and time limits of property tests do not depend on the machine."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
