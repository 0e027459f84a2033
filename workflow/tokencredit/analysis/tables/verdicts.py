"""The paper's printed numbers against the ones obtained."""

from tokencredit.analysis.paper.verdicts import records, wide

__all__ = ["records", "wide"]
