"""Credit functions on measured tokens. They call the methods of the tensors that they are given, so this is where torch is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import torch

from tokencredit.config import Config, Method
from tokencredit.credit import METHODS, TokenCredit, TokenSignals
from tokencredit.credit.columns import MEASURED
from tokencredit.creditbench.records import Measured
from tokencredit.creditbench.signals import ABSENT, batches
from tokencredit.errors import UserError

_FIELDS = {column.name for column in fields(TokenSignals)}


def lines(config: Config) -> dict[str, Method]:
    """The methods that are compared, by their names in methods.yaml: one for every credit function, itself and no control.

    Where no entry has the function's name, all entries that use it. Resets are left out: they say where to sample, and of given responses
    nothing.
    """
    entries = config.methods.items()
    plain = {name: method for name, method in entries if method.control is None and method.resets is None}
    found = {}
    for credit in METHODS:
        found |= {credit: plain[credit]} if credit in plain else {n: m for n, m in plain.items() if m.credit == credit}
    return found


def credit_of(method: Method) -> Callable[[TokenSignals], TokenCredit]:
    """The credit function of a method with its parameters."""
    chosen = METHODS[method.credit]
    return partial(chosen.function, **chosen.resolved(method.params))


def assigned(measured: Measured, function: Callable[[TokenSignals], TokenCredit], columns: Sequence[str]) -> np.ndarray:
    """The advantage that a credit function gives each token, 0 where it leaves the token out: [N, 1].

    [N, K] where one of its ``columns`` is measured: once for each split of the continuations. ``UserError`` for a column that the policy
    lacks, with the reason.
    """
    found = []
    for batch in batches(measured):
        if absent := [name for name in columns if name not in batch.columns and name not in MEASURED]:
            raise UserError(f"needs {absent[0]}: {ABSENT[absent[0]]}")
        splits = len(next(iter(batch.splits.values())).T) if {*columns} & {*MEASURED} else 1
        found.append(np.stack([_advantage(function(signals(batch.at(split)))) for split in range(splits)], axis=1))
    return np.concatenate(found)


def signals(columns: dict[str, np.ndarray | float]) -> TokenSignals:
    """The columns of a batch as tensors."""
    tensors = {
        name: values if isinstance(values, float) else torch.from_numpy(np.array(values))
        for name, values in columns.items()
        if name in _FIELDS
    }
    return TokenSignals(**tensors)


def _advantage(credit: TokenCredit) -> np.ndarray:
    return (credit.advantage.double() * credit.keep).numpy()
