"""Agreement of each method's weights with measured credit, and its final score."""

from tokencredit.analysis.credit.scoreboard import records, wide

__all__ = ["records", "wide"]
