"""Agreement of each method's weights with measured credit, and its final score."""

from tokencredit.analysis.credit import scoreboard

records = scoreboard.records
wide = scoreboard.wide
