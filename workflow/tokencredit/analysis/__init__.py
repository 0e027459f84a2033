"""Tables, figures and the report of a study, from stored records only. Importing this costs nothing: the graph does it."""

from tokencredit.study.exhibits import inputs, planned

__all__ = ["inputs", "planned"]
