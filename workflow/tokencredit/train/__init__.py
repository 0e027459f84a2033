"""Training of one cell of a study: sample, grade, score, assign credit, update, record."""

from tokencredit.credit import METHODS
from tokencredit.provenance import code_digest


def training_code(credit: str) -> str:
    """The digest of the code behind a cell: the trainer, and the file of its own credit method, not of the others."""
    return code_digest("train.__main__", METHODS[credit].module)
