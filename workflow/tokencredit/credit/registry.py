"""``METHODS``: every credit function by its name, with what it needs and where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tokencredit.credit.signals import TokenCredit, TokenSignals
from tokencredit.errors import UserError

CreditFunction = Callable[..., TokenCredit]


@dataclass(frozen=True)
class Method:
    """A credit function and its declaration.

    ``stage``: "rollout" (whole groups visible, old policy) or "update" (current policy of the whole optimiser batch). ``columns``: the
    optional columns of ``TokenSignals`` that it needs. ``parameters``: its parameters with their bounds and defaults. ``status``: "paper",
    "reconstruction" or, where no publication has it, "own". ``masks``: whether it leaves tokens out; ``plain``: whether every advantage is
    A_i itself and none is left out;
    ``per_token``: whether anything differs between the tokens of a response. ``equation``: what it computes, in LaTeX; ``slips``: where
    the publication and its released code, or two accounts of it, disagree, and what is taken here. ``module``: the file below
    ``tokencredit`` that defines it.
    """

    name: str
    function: CreditFunction
    stage: Literal["rollout", "update"]
    columns: tuple[str, ...]
    parameters: type[BaseModel]
    source: str
    status: Literal["paper", "reconstruction", "own"]
    module: str
    equation: str = ""
    masks: bool = False
    plain: bool = False
    per_token: bool = True
    slips: str = ""

    @property
    def defaults(self) -> dict[str, Any]:
        """Its parameters by name, with their defaults."""
        return {name: field.default for name, field in self.parameters.model_fields.items()}

    def resolved(self, params: dict[str, Any]) -> dict[str, Any]:
        """All parameters: those of ``params``, the defaults for the others. Raises ``UserError`` for an unknown one or a bad value."""
        try:
            return self.parameters.model_validate(params).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            key = first["loc"][0]
            if first["type"] == "extra_forbidden":
                allowed = ", ".join(self.defaults) or "none"
                raise UserError(f"credit method {self.name!r} has no parameter {key!r}; allowed: {allowed}.") from error
            message = first["msg"].replace("Input should be", "must be").replace("a valid ", "a ")
            raise UserError(f"credit method {self.name!r}: {key} = {first['input']!r}: {message}.") from error


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    source: str,
    equation: str,
    stage: Literal["rollout", "update"] = "rollout",
    columns: tuple[str, ...] = (),
    status: Literal["paper", "reconstruction", "own"] = "paper",
    masks: bool = False,
    plain: bool = False,
    per_token: bool = True,
    slips: str = "",
) -> Callable[[CreditFunction], CreditFunction]:
    """Register a credit function; its parameters, their bounds and their defaults are read from its signature."""

    def register(function: CreditFunction) -> CreditFunction:
        if name in METHODS:
            raise ValueError(f"the credit method {name!r} is declared twice")
        METHODS[name] = Method(
            name=name,
            function=function,
            stage=stage,
            columns=columns,
            parameters=parameters_of(name, function),
            source=source,
            status=status,
            module=function.__module__.removeprefix("tokencredit."),
            equation=equation,
            masks=masks,
            plain=plain,
            per_token=per_token,
            slips=slips,
        )
        return function

    return register


def parameters_of(name: str, function: CreditFunction) -> type[BaseModel]:
    """The parameters of a credit function as its signature declares them: all but the first, the signals."""
    hints = get_type_hints(function, include_extras=True)
    taken = list(inspect.signature(function).parameters.values())[1:]
    fields = {parameter.name: (hints[parameter.name], parameter.default) for parameter in taken}
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def assign(name: str, signals: TokenSignals, **params: Any) -> TokenCredit:
    """The credit of each token under the method ``name`` with its parameters (defaults where not given).

    Raises ``UserError`` for an unknown method or parameter, a value out of its bounds, and a column that the signals lack.
    """
    if name not in METHODS:
        raise UserError(f"credit method {name!r} is not known; allowed: {', '.join(METHODS)}.")
    chosen = METHODS[name]
    resolved = chosen.resolved(params)
    for column in chosen.columns:
        if getattr(signals, column) is None:
            raise UserError(f"credit method {name!r} needs the column {column!r}, which these signals do not hold.")
    return chosen.function(signals, **resolved)
