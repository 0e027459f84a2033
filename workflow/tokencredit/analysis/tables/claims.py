"""The paper's claims, each by its contrasts."""

from tokencredit.analysis.paper.claims import records, wide

__all__ = ["records", "wide"]
