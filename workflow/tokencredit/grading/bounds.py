"""What an audit of a grader lets pass; apart from the audit, for the configuration knows it without the audit's packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Largest shares: of the mutants that are graded right and not provably equal, and of the rewritings that are not graded right."""

    mutants_right: float = 0.0
    rewritings_not_right: float = 0.005
