"""The search for a data recipe, and what its winners are compared with."""

from tokencredit.analysis import searches

records = searches.records
wide = searches.wide
