"""Token-level credit assignment: tokens are rows, credit is a column.

A credit function turns the signals of one whole optimiser batch into one number per token. It sees no model, no configuration and no
micro-batch. Each file here is a family of methods; a new method is a new file with a function under ``@method``, and an entry in
``config/methods.yaml``.
"""

from tokencredit.credit.advantage import group_advantage
from tokencredit.credit.controls import CONTROLS, controlled
from tokencredit.credit.registry import METHODS, Method, assign, method
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.credit.thresholds import QUADRANTS, THRESHOLDS, quadrant_of

__all__ = [
    "CONTROLS",
    "METHODS",
    "QUADRANTS",
    "THRESHOLDS",
    "Method",
    "TokenCredit",
    "TokenSignals",
    "assign",
    "controlled",
    "group_advantage",
    "method",
    "quadrant_of",
]
