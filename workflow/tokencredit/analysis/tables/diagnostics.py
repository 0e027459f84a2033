"""How each method spreads its credit."""

from tokencredit.analysis.credit import diagnostics

records = diagnostics.records
wide = diagnostics.wide
