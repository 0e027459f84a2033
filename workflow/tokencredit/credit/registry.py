"""``METHODS``: every credit function by its name, with what it needs and where it comes from."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tokencredit.credit as package
from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.errors import UserError

CreditFunction = Callable[..., TokenCredit]


@dataclass(frozen=True)
class Method:
    """A credit function and its declaration.

    ``stage``: "rollout" (whole groups visible, old policy) or "update" (current policy of the whole optimiser batch). ``columns``: the
    optional columns of ``TokenSignals`` that it needs. ``defaults``: its parameters. ``status``: "paper" or "reconstruction".
    ``masks``: whether it leaves tokens out. ``equation``: what it computes, in LaTeX; ``slips``: where the publication
    and its released code, or two accounts of it, disagree, and what is taken here. ``module``: the file below ``tokencredit`` that
    defines it.
    """

    name: str
    function: CreditFunction
    stage: Literal["rollout", "update"]
    columns: tuple[str, ...]
    defaults: dict[str, Any]
    source: str
    status: Literal["paper", "reconstruction"]
    module: str
    equation: str = ""
    masks: bool = False
    slips: str = ""


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    source: str,
    equation: str,
    stage: Literal["rollout", "update"] = "rollout",
    columns: tuple[str, ...] = (),
    status: Literal["paper", "reconstruction"] = "paper",
    masks: bool = False,
    slips: str = "",
) -> Callable[[CreditFunction], CreditFunction]:
    """Register a credit function; its parameters and their defaults are read from its signature."""

    def register(function: CreditFunction) -> CreditFunction:
        if name in METHODS:
            raise ValueError(f"the credit method {name!r} is declared twice")
        parameters = list(inspect.signature(function).parameters.values())[1:]
        defaults = {parameter.name: parameter.default for parameter in parameters}
        module = function.__module__.removeprefix("tokencredit.")
        METHODS[name] = Method(name, function, stage, columns, defaults, source, status, module, equation, masks, slips)
        return function

    return register


def assign(name: str, signals: TokenSignals, **params: Any) -> TokenCredit:
    """The credit of each token under the method ``name`` with its parameters (defaults where not given).

    Raises ``UserError`` for an unknown method or parameter, and for a column that the method needs and the signals lack.
    """
    if name not in METHODS:
        raise UserError(f"credit method {name!r} is not known; allowed: {', '.join(METHODS)}.")
    chosen = METHODS[name]
    for key in params:
        if key not in chosen.defaults:
            raise UserError(
                f"credit method {name!r} has no parameter {key!r}; allowed: {', '.join(chosen.defaults) or 'none'}."
            )
    for column in chosen.columns:
        if getattr(signals, column) is None:
            raise UserError(f"credit method {name!r} needs the column {column!r}, which these signals do not hold.")
    return chosen.function(signals, **params)


for _module in pkgutil.iter_modules(package.__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{package.__name__}.{_module.name}")
