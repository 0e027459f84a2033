"""The measured credit of tokens, by what they are."""

from tokencredit.analysis.credit.states import records, wide

__all__ = ["records", "wide"]
