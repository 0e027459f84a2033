"""What of the package a computation reaches: what names lead to from its roots, and what acts when modules are imported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tokencredit.provenance import kept
from tokencredit.provenance.syntax import Module, Piece, Target

# In place of a definition's name: all that a module offers, and what acts when it is imported.
EVERYTHING, ACTS = "*", ""


class Sources:
    """The modules of a package by their dotted names, each read once: a file that changes later is as it was."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.path, self.module = cache(self._path), cache(self._module)

    def _path(self, name: str) -> Path | None:
        base = self.package.joinpath(*name.split(".")[1:])
        return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)

    def _module(self, name: str) -> Module:
        path = self.path(name)
        assert path is not None, name
        return kept.module(path)


@dataclass(frozen=True)
class Node:
    """A definition of a module, or ``EVERYTHING`` or ``ACTS``."""

    module: str
    name: str


@dataclass
class Reach:
    """All that is reached from ``roots`` (dotted names of modules or of definitions, without the package's), in ``sources``.

    ``left_out``: modules that are not looked into, nor what lies below them. The types of a root's parameters are reached, for objects of
    theirs come in. Raises ``ModuleNotFoundError`` for a module that is not there, ``AttributeError`` for a definition.
    """

    sources: Sources
    roots: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    nodes: dict[Node, int] = field(init=False, default_factory=dict)
    lines: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._module, self._path, self._name = self.sources.module, self.sources.path, self.sources.package.name
        self._left_out = tuple(f"{self._full(each)}." for each in self.left_out)
        self._asked: set[str] = set()
        self._executed: set[str] = set()
        self._order: list[Node] = []
        for name in self.left_out:
            if self._path(self._full(name)) is None:
                raise ModuleNotFoundError(f"{self._full(name)} has no source below {self.sources.package}")
        first = [self._root(name) for name in self.roots]
        self._entered = set(first)
        self.lines.append(json.dumps([self._number(node) for node in first]))
        while len(self.lines) <= len(self._order) or self._enter_acts():
            self.lines.append(self._line(self._order[len(self.lines) - 1]))

    @property
    def digest(self) -> str:
        """sha256 over the syntax of everything reached and what each name in it stands for, whatever file that is in."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def _enter_acts(self) -> bool:
        """Number what acts on import and has no number yet, in an order that renaming a file does not change; whether there was any."""
        acts = {name: self._module(name).acts.text for name in self._executed if Node(name, ACTS) not in self.nodes}
        acting = [name for name in sorted(acts, key=lambda name: (acts[name], name)) if acts[name]]
        for name in acting:
            self._number(Node(name, ACTS))
        return bool(acting)

    def _line(self, node: Node) -> str:
        """A node's syntax, and for each of its names the number of the node that it stands for, or the dotted name of what others wrote."""
        self._execute(node.module)
        module = self._module(node.module)
        if node.name == EVERYTHING:
            return self._everything(node, module)
        piece = module.acts if node.name == ACTS else module.definitions[node.name]
        for name in piece.modules:
            self._execute(name)
        bound = [(name, self._stands_for(node.module, piece, name)) for name in piece.names]
        if node in self._entered:
            types = [(name, self._stands_for(node.module, piece, name)) for name in piece.types]
            bound += [(name, number) for name, number in types if isinstance(number, int)]
        return piece.text + json.dumps([each for each in bound if each[1] is not None])

    def _everything(self, node: Node, module: Module) -> str:
        """Of a package what its ``__init__`` imports too: it is there to offer that."""
        below = [Node(node.module, name) for name in sorted(module.definitions)]
        if node in self._entered:
            self._entered.update(below)
        path = self._path(node.module)
        offered = sorted(module.imports) if path and path.name == "__init__.py" else []
        names = [self._at(module.imports[name], []) for name in offered]
        return json.dumps([[self._number(each) for each in below], names])

    def _stands_for(self, module: str, piece: Piece, name: str) -> int | str | None:
        """None for what is local, or Python's own."""
        first, *rest = name.split(".")
        target = piece.imports.get(first) or self._module(module).imports.get(first)
        if target:
            return self._at(target, rest)
        if first in self._module(module).definitions:
            return self._number(Node(module, first))
        return self._at((first, None), rest) if first == self._name and rest else None

    def _at(self, target: Target, rest: list[str]) -> int | str:
        """What an imported name stands for with the attributes ``rest``."""
        module, name = target
        if module.partition(".")[0] != self._name:
            return f"{module}.{name}" if name else module
        found = self._find(module, [*([name] if name else []), *rest])
        return "left out" if found is None else self._number(found)

    def _find(self, module: str, names: list[str]) -> Node | None:
        """What ``names``, attribute after attribute, lead to in a module: None where that is left out, all of it where it is not found."""
        if self._is_left_out(module):
            return None
        if not names:
            return Node(module, EVERYTHING)
        first, *rest = names
        below, target = f"{module}.{first}", self._module(module).imports.get(first)
        if first in self._module(module).definitions:
            return Node(module, first)
        if target and target != (module, first) and target[0].partition(".")[0] == self._name:
            return self._find(target[0], [*([target[1]] if target[1] else []), *rest])
        return self._find(below, rest) if self._path(below) else Node(module, EVERYTHING)

    def _root(self, name: str) -> Node:
        full = self._full(name)
        if self._path(full):
            return Node(full, EVERYTHING)
        module, _, definition = full.rpartition(".")
        if self._path(module) is None:
            raise ModuleNotFoundError(f"{full} has no source below {self.sources.package}")
        own = self._module(module)
        if definition not in own.definitions and definition not in own.imports:
            raise AttributeError(f"{module} defines no {definition}")
        return self._find(module, [definition])

    def _number(self, node: Node) -> int:
        if node not in self.nodes:
            self.nodes[node] = len(self._order)
            self._order.append(node)
        return self.nodes[node]

    def _execute(self, name: str) -> None:
        """Note the modules that run when ``name`` is imported: the packages around it, itself, and all that these import."""
        pending = [name]
        while pending:
            asked = pending.pop()
            parts = asked.split(".")
            if asked in self._asked or parts[0] != self._name:
                continue
            self._asked.add(asked)
            for each in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
                if each not in self._executed and self._path(each) and not self._is_left_out(each):
                    self._executed.add(each)
                    pending += self._module(each).modules

    def _full(self, name: str) -> str:
        return f"{self._name}.{name}"

    def _is_left_out(self, name: str) -> bool:
        return f"{name}.".startswith(self._left_out)
