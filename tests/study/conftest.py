"""The small configuration of ``tests.config``."""

from tests.config.conftest import spoil

__all__ = ["spoil"]
