"""What the quadrants contribute."""

from tokencredit.analysis.score_layout import wide
from tokencredit.analysis.scores import table3 as records

__all__ = ["records", "wide"]
