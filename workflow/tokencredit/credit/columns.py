"""The optional columns of ``TokenSignals``, and which of them a method and its control ask for."""

from dataclasses import fields

from tokencredit.credit.controls import CONTROLS
from tokencredit.credit.registry import METHODS
from tokencredit.credit.signals import PER_RESPONSE, TokenSignals

# By name, in the order of ``TokenSignals``: the trainer fills the ones that a method declares.
COLUMNS = tuple(
    column.name for column in fields(TokenSignals) if column.default is None and column.name not in PER_RESPONSE
)

# Of the old policy under a prompt that holds the answer.
TOLD = ("privileged_logprob", "privileged_entropy", "contrast_logprob")
# Measured by continuations of the policy.
MEASURED = ("value", "information")
# Of responses that restart in the middle of failed ones.
RESTARTED = ("begun",)


def columns_of(credit: str, control: str | None = None) -> tuple[str, ...]:
    """The optional columns that a credit method and its control ask for."""
    return METHODS[credit].columns + (CONTROLS[control].columns if control else ())
