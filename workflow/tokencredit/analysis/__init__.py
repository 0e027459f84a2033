"""Tables, figures and the page of a study, from stored records only. Importing this package costs nothing, because the graph imports it."""

from tokencredit.study.exhibits import inputs, planned

__all__ = ["inputs", "planned"]
