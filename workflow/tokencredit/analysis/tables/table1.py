"""All methods on all benchmarks."""

from tokencredit.analysis import score_layout, scores

records = scores.table1
wide = score_layout.wide
