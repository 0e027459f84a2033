"""How each method spreads its credit."""

from tokencredit.analysis.credit.diagnostics import records, wide

__all__ = ["records", "wide"]
