"""The measured credit of tokens, by what they are."""

from tokencredit.analysis.credit import states

records = states.records
wide = states.wide
