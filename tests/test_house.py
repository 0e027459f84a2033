"""The packages and their arrows, read from the code and held against the floors in docs/architecture.md.

``python tests/test_house.py`` prints them as a Mermaid diagram.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow/tokencredit"
LOOSE = 8  # modules at the top of the package, beside __init__


def modules() -> dict[str, Path]:
    """The modules of the package by their dotted names below it; a package stands for its ``__init__``."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@cache
def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in it; for type checking alone does not count."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    typed = {
        id(each)
        for node in nodes
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for each in ast.walk(node)
    }
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typed:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            continue
        found |= {name.removeprefix("tokencredit.") for name in names if name.startswith("tokencredit.")}
    return found & set(MODULES)


def room(module: str) -> str:
    return module.partition(".")[0]


def floors() -> dict[str, int]:
    """The floor of every package, counted from the ground, as docs/architecture.md has it."""
    text = (
        (ROOT / "docs/architecture.md")
        .read_text(encoding="utf-8")
        .partition("| floor | packages |")[2]
        .partition("\n\n")[0]
    )
    lines = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    return {name: floor for floor, line in enumerate(lines) for name in re.findall(r"`(\w+)`", line.split("|")[2])}


MODULES = modules()
ARROWS = {
    (room(module), room(other))
    for module, path in MODULES.items()
    for other in imported(path)
    if module not in ("", "__main__") and room(module) != room(other)
}
FLOORS = floors()


def test_every_package_has_a_floor() -> None:
    assert {room(module) for module in MODULES} - {"", "__main__"} == FLOORS.keys()


@pytest.mark.parametrize("arrow", sorted(ARROWS), ids=" to ".join)
def test_no_arrow_leads_up(arrow: tuple[str, str]) -> None:
    source, target = arrow
    files = [
        module for module, path in MODULES.items() if room(module) == source and target in map(room, imported(path))
    ]
    assert FLOORS[target] <= FLOORS[source], f"{', '.join(files)}: {source} is below {target}"


def test_there_is_no_circle_of_packages() -> None:
    left = {name: {target for source, target in ARROWS if source == name} for name in FLOORS}
    while free := [name for name, targets in left.items() if not targets]:
        left = {name: targets - set(free) for name, targets in left.items() if name not in free}
    assert not left


def test_few_modules_are_loose_and_none_is_long() -> None:
    loose = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert len(loose) <= LOOSE, loose
    long = {str(path): lines for path in PACKAGE.rglob("*.py") if (lines := path.read_text().count("\n")) > 400}
    assert not long


if __name__ == "__main__":
    print("flowchart BT")
    for source, target in sorted(ARROWS):
        print(f"    {source} --> {target}")
