"""The paper's claims, each by its contrasts."""

from tokencredit.analysis.paper import claims

records = claims.records
wide = claims.wide
