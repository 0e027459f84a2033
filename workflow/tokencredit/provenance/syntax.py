"""A module's sources as definitions: for each the syntax that can change a number, and the names that it uses.

A definition is a function, a class or an assignment at the top of a module. All else that stands there acts when the module is imported.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

# Decorators that do nothing but wrap: any other may enter what it decorates in a register, or read its annotations.
WRAPPERS = frozenset(
    ("cache", "lru_cache", "contextmanager", "contextlib.contextmanager", "dataclass", "overload", "torch.no_grad")
)
# A text that names a module of the package, as a worker is told what to load.
_NAMES_MODULE = re.compile(rf"\b{__name__.partition('.')[0]}(?:\.\w+)+")
# Fields of syntax that say nothing about what it does.
_UNSEEN = frozenset(("ctx", "kind", "type_comment"))

# A module, and a name in it; none of a module itself.
Target = tuple[str, str | None]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Piece:
    """Some of the statements at the top of a module.

    ``text``: their syntax but for comments, layout, docstrings, imports, annotations of functions and variables, and what errors say; empty
    where nothing is left. ``names``: what they read, dotted where attributes follow, sorted. ``types``: the same of the annotations of the
    parameters of their functions. ``imports``: what their own import statements bind. ``modules``: what these import; some are names in a
    module.
    """

    text: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    imports: dict[str, Target]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """What the names of a module stand for, what it imports when it is imported, what it defines, and what acts on import."""

    imports: dict[str, Target]
    modules: tuple[str, ...]
    definitions: dict[str, Piece]
    acts: Piece


@cache
def parsed(source: str) -> Module:
    """What the text of a module says."""
    tree = [node for node in ast.parse(source).body if not _is_main(node)]
    # Not of functions, which import for themselves; but also those under a condition.
    outside = [node for node in tree if not isinstance(node, Function | ast.ClassDef)]
    imports = _statements([node for node in outside if not _is_type_checking(node)])
    stands_for = _bound(_statements(outside)) | _bound(imports)
    errors = frozenset(name for name, (_, target) in stands_for.items() if target == "UserError")
    definitions: dict[str, list[ast.stmt]] = {}
    acts: list[ast.stmt] = []
    for node in tree:
        names = _defined(node)
        for name in names:
            definitions.setdefault(name, []).append(node)
        if not names or _acts(node):
            acts.append(node)
    pieces = {name: _piece(nodes, errors) for name, nodes in definitions.items() if name != "__all__"}
    return Module(stands_for, tuple(_imported(imports)), pieces, _piece(acts, errors))


def _piece(given: list[ast.stmt], errors: frozenset[str]) -> Piece:
    """``errors``: what the module calls the exception that is a sentence to a person."""
    statements = _statements(given)
    left = [each for each in _Stripper(errors).block(given) if not isinstance(each, ast.Pass)]
    functions = [node for node in statements if isinstance(node, Function)]
    notes = [each.annotation for function in functions for each in _arguments(function) if each.annotation]
    return Piece(
        text=json.dumps(_plain(left), ensure_ascii=False) if left else "",
        names=tuple(sorted({name for statement in left for name in _names(statement)})),
        types=tuple(sorted({name for note in notes for name in _names(note)})),
        imports=_bound(statements),
        modules=tuple(_imported(statements)),
    )


class _Stripper(ast.NodeTransformer):
    """Takes away what cannot change a number, from a copy."""

    def __init__(self, errors: frozenset[str]) -> None:
        self.errors, self.in_class = errors, False

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """What is left of a block; ``pass`` where that is nothing."""
        left = [self.visit(each) for each in statements if not _says_nothing(each)]
        return [each for each in left if each is not None] or [ast.Pass()]

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr):  # holds no statement, and is as it was
            return node
        left: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.AST):
                left[name] = self.visit(value)
            elif isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                left[name] = self.block(value)
            elif isinstance(value, list):
                left[name] = [self.visit(each) if isinstance(each, ast.AST) else each for each in value]
            else:
                left[name] = value
        return type(node)(**left)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node, in_class=True)

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        left = self._within(node, in_class=False)
        if isinstance(left, Function) and all(_wraps(each) for each in node.decorator_list):
            left.returns = None
            for each in _arguments(left):
                each.annotation = None
        return left

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(node)

    def _within(self, node: ast.AST, in_class: bool) -> ast.AST:
        before, self.in_class = self.in_class, in_class
        left = self.generic_visit(node)
        self.in_class = before
        return left

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        # A class may be made of its annotations, as dataclasses and Pydantic's models are.
        if self.in_class:
            return self.generic_visit(node)
        return self.visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call) and getattr(node.exc.func, "id", None) in self.errors:
            node = ast.Raise(node.exc.func, node.cause)
        return self.generic_visit(node)


def _statements(nodes: Iterable[ast.AST]) -> list[ast.stmt]:
    """Statements with all that stand in their blocks: functions and imports are among them, and in no expression."""
    found = []
    for node in nodes:
        if isinstance(node, ast.stmt):
            found.append(node)
        for block in ("body", "handlers", "cases", "orelse", "finalbody"):
            found += _statements(getattr(node, block, ()))
    return found


def _says_nothing(node: ast.stmt) -> bool:
    """A docstring or another constant that stands alone, an import (names are followed instead), or what is for type checkers."""
    alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return alone or isinstance(node, ast.Import | ast.ImportFrom) or _is_type_checking(node)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _wraps(decorator: ast.expr) -> bool:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator) in WRAPPERS


def _defined(node: ast.stmt) -> list[str]:
    """The names that a top-level statement binds, if that is what it is there for."""
    if isinstance(node, Function | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    targets = [each for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [each.id for each in targets if isinstance(each, ast.Name)]
    return names if len(names) == len(targets) else []


def _acts(node: ast.stmt) -> bool:
    """Whether a definition may do more than bind its names: an assignment that calls something, a decorator that is no mere wrapper."""
    if isinstance(node, Function | ast.ClassDef):
        return not all(_wraps(each) for each in node.decorator_list)
    return any(isinstance(each, ast.Call) for each in ast.walk(node))


def _arguments(node: Function) -> Iterator[ast.arg]:
    given = node.args
    yield from (*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg)))


def _bound(nodes: list[ast.stmt]) -> dict[str, Target]:
    """What the names that import statements bind stand for."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for each in node.names:
                name = each.asname or each.name.partition(".")[0]
                found[name] = (each.name if each.asname else name, None)
        elif isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: (str(node.module), each.name) for each in node.names}
    return found


def _imported(nodes: list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _names(node: ast.AST) -> Iterator[str]:
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Attribute) and (dotted := _dotted(node)):
            yield dotted
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _NAMES_MODULE.findall(node.value)
        else:
            pending += ast.iter_child_nodes(node)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else None
    return node.id if isinstance(node, ast.Name) else None


def _plain(value: Any) -> Any:
    """Syntax as lists, the same under every version of Python: a field that holds nothing is not named."""
    if isinstance(value, ast.AST):
        plain: list[Any] = [type(value).__name__]
        for name in value._fields:
            each = None if name in _UNSEEN else getattr(value, name, None)
            if each is not None and each != []:
                plain.append([name, _plain(each)])
        return plain
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return f"{type(value).__name__} {value!r}"
