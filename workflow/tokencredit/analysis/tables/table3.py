"""What the quadrants contribute."""

from tokencredit.analysis import score_layout, scores

records = scores.table3
wide = score_layout.wide
