"""Token-level credit assignment in reinforcement learning with verifiable rewards (arXiv 2604.11056)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokencredit.analysis.tidy import Results

__version__ = "0.1.0"


def load(study: str, config: Path | str = "config", results: Path | str = "results") -> Results:
    """The stored results of a study as tidy tables: ``tokencredit.load("toy").scores``. Raises ``UserError`` for an unknown study."""
    from tokencredit.analysis.tidy import Results
    from tokencredit.config import load_study

    return Results(load_study(Path(config), study), Path(results))
