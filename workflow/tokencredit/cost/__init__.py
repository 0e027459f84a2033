"""Memory, disk and hours of a study before it is launched: from the configuration, without torch, so that the graph can ask too."""

from tokencredit.cost.estimate import Estimate, estimate
from tokencredit.cost.memory import Memory, Part
from tokencredit.cost.quantity import Basis, Quantity
from tokencredit.cost.reckoning import Reckoned
from tokencredit.cost.remedies import Shortfall
from tokencredit.cost.terms import Options, Term, Terms
from tokencredit.cost.timings import Timings, read_timings

__all__ = [
    "Basis",
    "Estimate",
    "Memory",
    "Options",
    "Part",
    "Quantity",
    "Reckoned",
    "Shortfall",
    "Term",
    "Terms",
    "Timings",
    "estimate",
    "read_timings",
]
