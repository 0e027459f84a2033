"""The paper's printed numbers against the ones obtained."""

from tokencredit.analysis.paper import verdicts

records = verdicts.records
wide = verdicts.wide
