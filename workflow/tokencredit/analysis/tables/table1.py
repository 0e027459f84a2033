"""All methods on all benchmarks."""

from tokencredit.analysis.score_layout import wide
from tokencredit.analysis.scores import table1 as records

__all__ = ["records", "wide"]
