"""A method of one's own in one file: read, run on measured tokens, and refused in a sentence where it cannot be judged.

A file holds one of two things. ``credit(tokens)`` gets a pandas table, one line a token, and gives an advantage for each: it needs no
torch. A function under ``@method`` gets ``TokenSignals``, whose columns are tensors, as in training: it needs torch. Nothing stands
between the two: arrays that only look like tensors would do some things otherwise, and nobody would see it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tokencredit import credit
from tokencredit.credit import METHODS, Method
from tokencredit.creditbench.records import Measured
from tokencredit.creditbench.signals import batches
from tokencredit.errors import UserError

FUNCTION = "credit"
_SAME = (
    1e-12  # of the largest advantage: what differs by less between splits of the continuations does not depend on them
)


@dataclass(frozen=True)
class Submission:
    """A method: ``credit`` gives the advantage of every token of a policy, [N, 1] or [N, K]; ``method``: its declaration, if any."""

    name: str
    credit: Callable[[Measured], np.ndarray]
    method: Method | None = None


def read(path: Path) -> Submission:
    """The method in a file. ``UserError`` where the file cannot be read or run, and unless it holds one method."""
    if path.resolve().parent == Path(credit.__file__).resolve().parent:
        return _of_package(path)
    known = set(METHODS)
    module = _module(path)
    registered = [METHODS.pop(name) for name in METHODS.keys() - known]
    function = getattr(module, FUNCTION, None)
    found = [*registered, *([function] if callable(function) else [])]
    if len(found) != 1:
        raise UserError(
            f"{path}: holds {len(found) or 'no'} methods; one is allowed: a function {FUNCTION}(tokens), or one under @method "
            f"(docs/creditbench.md)."
        )
    if not registered:
        return Submission(path.stem, lambda measured: _of_table(path, function, measured))
    return _registered(path, registered[0])


def _of_package(path: Path) -> Submission:
    """The method of a file of ``tokencredit.credit``, which registered it when the package was imported."""
    found = [method for method in METHODS.values() if method.module == f"credit.{path.stem}"]
    if len(found) != 1:
        raise UserError(
            f"{path}: holds {len(found) or 'no'} methods; one is allowed, under @method (docs/creditbench.md)."
        )
    return _registered(path, found[0])


def _registered(path: Path, method: Method) -> Submission:
    return Submission(method.name, lambda measured: _of_signals(path, method, measured), method)


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    spec = importlib.util.spec_from_file_location(f"creditbench_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: is no Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    known = dict(METHODS)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's file raises is about that file
        METHODS.clear()
        METHODS.update(known)
        raise UserError(f"{path}: cannot be run: {_said(error)}.") from error
    return module


def _of_table(path: Path, function: Callable[..., Any], measured: Measured) -> np.ndarray:
    """[N, 1], or [N, K] where it depends on what is measured."""
    parts = []
    for batch in batches(measured):
        splits = range(next(iter(batch.splits.values())).shape[1])
        found = [_column(path, function, batch.shown(split)) for split in splits]
        parts.append(np.stack(found, axis=1))
    advantage = np.concatenate(parts)
    alike = np.ptp(advantage, axis=1).max(initial=0) <= _SAME * np.abs(advantage).max(initial=0)
    return advantage[:, :1] if alike else advantage


def _column(path: Path, function: Callable[..., Any], tokens: Any) -> np.ndarray:
    given, order = list(tokens.columns), tokens.index
    try:
        advantage = function(tokens)
        # A function that sorts gives its numbers in another order, which pandas' index tells.
        if hasattr(advantage, "reindex") and set(advantage.index) == set(order):
            advantage = advantage.reindex(order)
        found = np.asarray(advantage, float)
    except Exception as error:
        raise UserError(f"{path}: {FUNCTION}(tokens) fails: {_said(error)}; tokens has {', '.join(given)}.") from error
    return _checked(path, f"{FUNCTION}(tokens)", found, len(tokens))


def _of_signals(path: Path, method: Method, measured: Measured) -> np.ndarray:
    try:
        from tokencredit.creditbench.tensors import assigned
    except ImportError as error:
        raise UserError(
            f"{path}: {method.name!r} works on TokenSignals, whose columns are tensors, and torch is not installed: install it, or write "
            f"{FUNCTION}(tokens) on a pandas table (docs/creditbench.md)."
        ) from error
    try:
        found = assigned(measured, lambda signals: method.function(signals, **method.defaults), method.columns)
    except UserError as error:
        raise UserError(f"{path}: {method.name!r} {error}") from error
    except Exception as error:
        raise UserError(f"{path}: {method.name!r} fails: {_said(error)}.") from error
    return _checked(path, repr(method.name), found, len(measured.tokens))


def _checked(path: Path, what: str, advantage: np.ndarray, tokens: int) -> np.ndarray:
    if advantage.shape[:1] != (tokens,) or advantage.ndim > 2:
        raise UserError(
            f"{path}: {what} gives an array of shape {advantage.shape}; ({tokens},) is needed, a number for each token."
        )
    if not np.isfinite(advantage).all():
        raise UserError(
            f"{path}: {what} gives {(~np.isfinite(advantage)).sum()} of {tokens} tokens no finite number; each needs one."
        )
    return advantage


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".").replace("\n", " ")
