"""Token-level credit assignment: tokens are rows, credit is a column.

A credit function turns the signals of one whole optimiser batch into one number per token. It sees no model, no configuration and no
micro-batch. Each file here is a family of methods; a new method is a new file with a function under ``@method``, and an entry in
``config/methods.yaml``.
"""

import importlib
import pkgutil

from tokencredit.credit.advantage import group_advantage
from tokencredit.credit.columns import COLUMNS, columns_of
from tokencredit.credit.controls import CONTROLS, controlled
from tokencredit.credit.registry import METHODS, Method, assign, method
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.credit.thresholds import QUADRANTS, THRESHOLDS, quadrant_of

__all__ = [
    "COLUMNS",
    "CONTROLS",
    "METHODS",
    "QUADRANTS",
    "THRESHOLDS",
    "Method",
    "TokenCredit",
    "TokenSignals",
    "assign",
    "columns_of",
    "controlled",
    "group_advantage",
    "method",
    "quadrant_of",
]

# Each file registers its methods when it is imported.
for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
