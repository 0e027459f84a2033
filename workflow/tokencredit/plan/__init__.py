"""Memory, disk and hours of a study before it is launched: from the configuration, without torch, so that the graph can ask too."""

from tokencredit.plan.estimate import Estimate, estimate
from tokencredit.plan.jobs import Job
from tokencredit.plan.measured import Measured, read_measured
from tokencredit.plan.memory import Memory, Part
from tokencredit.plan.quantity import Basis, Quantity
from tokencredit.plan.remedies import Shortfall
from tokencredit.plan.terms import Options, Term, Terms

__all__ = [
    "Basis",
    "Estimate",
    "Job",
    "Measured",
    "Memory",
    "Options",
    "Part",
    "Quantity",
    "Shortfall",
    "Term",
    "Terms",
    "estimate",
    "read_measured",
]
