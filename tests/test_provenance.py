"""Code digests: an edit moves those that docs/reproducibility.md says, and no other."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tokencredit import provenance
from tokencredit.config import Config
from tokencredit.credit import METHODS
from tokencredit.data.tasks import TASKS
from tokencredit.provenance import environment
from tokencredit.study import code

PACKAGE = provenance.PACKAGE
TABLE = Path(__file__).parents[1] / "docs/reproducibility.md"

CONFIG = Config(Path(__file__).parents[1] / "config")
TOY = CONFIG.study("toy")
RECIPE = CONFIG.study("toy-recipe")
MODELS = {model.task: model for name, model in CONFIG.models.items() if CONFIG.is_embedded(name)}
DATASETS = {getattr(dataset, "task", None): name for name, dataset in CONFIG.datasets.items()}

STAGES: dict[str, Callable[[], str]] = {
    **{
        f"train of {credit} {under}with {engine}": lambda e=engine, c=credit, k=control: code.training(e, c, k)
        for engine in ("transformers", "vllm")
        for credit in ("eapo", "gspo")
        for under, control in (("", None), ("under a control ", "norm-matched"))
    },
    "train of vine with transformers": lambda: code.training("transformers", "vine", None, TOY.model_task),
    "train of ict with transformers": lambda: code.training("transformers", "ict", None, TOY.model_task),
    "train of rrpo with transformers": lambda: code.training("transformers", "rrpo", None, TOY.model_task),
    "train of kind-mask with transformers": lambda: code.training("transformers", "kind-mask", None, TOY.model_task),
    **{f"oracle with {engine}": lambda e=engine: code.oracle(e) for engine in ("transformers", "vllm")},
    "attribute": code.attribution,
    "pool": lambda: code.pool(RECIPE),
    "search": lambda: code.search(RECIPE),
    "tune": lambda: code.tuning(RECIPE),
    **{f"generate with {engine}": lambda e=engine: code.generation(e) for engine in ("transformers", "vllm")},
    "grade": code.grading,
    "audit": code.audit,
    "score": code.scoring,
    "overlap": code.overlap,
    "prepare of a file": lambda: code.dataset(CONFIG, DATASETS[None]),
    **{f"prepare of a task {task}": lambda t=task: code.dataset(CONFIG, DATASETS[t]) for task in TASKS},
    "prepare of a task word-problems in English": lambda: code.dataset(CONFIG, "words-start"),
    **{f"pretrain of a task {task}": lambda t=task: code.pretraining(MODELS[t]) for task in TASKS},
    **{f"fetch from a {kind}": lambda k=kind: code.fetching(k) for kind in ("hub", "folder", "package")},
    "start": code.starting,
    "table": lambda: code.exhibit(TOY, "table", "table1"),
    "figure": lambda: code.exhibit(TOY, "figure", "figure4"),
    "page": lambda: code.page(TOY),
}
# They follow whatever runs again.
SHOWN = {"table", "figure", "page"}


def rows() -> list[tuple[str, str]]:
    """Each edit of the documented table, and what it says runs again."""
    text = TABLE.read_text(encoding="utf-8").partition("| edited in the code |")[2].partition("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()[2:]]
    return [(name, again) for _, names, again in cells for name in re.findall(r"`(.+?)`", names)]


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    code._digest.cache_clear()
    return {stage: digest() for stage, digest in STAGES.items()}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, whose digests are taken; the code that runs is the real one."""
    folder = shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # nothing is kept of a copy
    yield folder
    code._digest.cache_clear()


def moved(before: dict[str, str]) -> set[str]:
    code._digest.cache_clear()
    provenance.sources_of.cache_clear()
    return {stage for stage, digest in STAGES.items() if digest() != before[stage]}


def where(copy: Path, name: str) -> tuple[Path, ast.FunctionDef | ast.ClassDef]:
    """The file and the definition that a name, with as much of its module as tells it from others, stands for."""
    *modules, last = name.split(".")
    found = [
        (path, node)
        for path in sorted(copy.rglob("*.py"))
        if not modules or [*path.relative_to(copy).with_suffix("").parts][-len(modules) :] == modules
        if re.search(rf"^(?:def|class) {last}\b", text := path.read_text(encoding="utf-8"), re.MULTILINE)
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == last
    ]
    assert len({path for path, _ in found}) == 1, f"{name} stands for {[str(path) for path, _ in found]}"
    return found[-1]


def expected(again: str, module: str) -> set[str]:
    """The stages of a cell of the table. Its words are those of a stage, but for what "its" stands for."""
    if again == "nothing":
        return set()
    own = {"its methods": [name for name, method in METHODS.items() if method.module == module]}
    file = sys.modules.get(f"tokencredit.{module}")
    own["its task"] = [f"a task {task}" for task, home in TASKS.items() if file in (home, *vars(home).values())]
    asked = [each for each in (part.strip() for part in again.split(","))]
    for word, names in own.items():
        asked = [each.replace(word, name) for each in asked for name in (names if word in each else [word])]
    found = {stage for stage in STAGES for each in asked if set(each.split()) <= set(stage.split())}
    assert found, f"{again!r} names no stage"
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "again"), rows())
def test_an_edit_makes_again_what_the_table_says(name: str, again: str, copy: Path, before: dict[str, str]) -> None:
    path, node = where(copy, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((each for each in node.body if ast.get_docstring(node) is None or each is not node.body[0]), None)
    place = first.lineno - 1 if first else node.end_lineno
    lines.insert(place, f"{' ' * (node.col_offset + 4)}edited = 0")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    wanted = expected(again, ".".join(path.relative_to(copy).with_suffix("").parts))
    changed = moved(before)
    assert changed - SHOWN == wanted - SHOWN
    assert wanted & SHOWN <= changed
    assert wanted or not changed


def sources(copy: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in copy.rglob("*.py"):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def format_anew(copy: Path) -> None:
    for path, tree in sources(copy):
        path.write_text("# A comment.\n" + ast.unparse(tree), encoding="utf-8")


def reword_docstrings(copy: Path) -> None:
    for path, tree in sources(copy):
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body[0].value = ast.Constant("Other words.")
        path.write_text(ast.unparse(tree), encoding="utf-8")


def drop_annotations(copy: Path) -> None:
    for path, tree in sources(copy):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and not node.decorator_list and node.returns:
                node.returns = ast.Constant("Any")
        path.write_text(ast.unparse(tree), encoding="utf-8")


def reword_errors(copy: Path) -> None:
    for path, tree in sources(copy):
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc and ast.unparse(node.exc).startswith("UserError("):
                node.exc = ast.parse("UserError('Other words.')").body[0].value
        path.write_text(ast.unparse(tree), encoding="utf-8")


def edit_command_lines(copy: Path) -> None:
    for path in copy.rglob("__main__.py"):
        path.write_text(path.read_text(encoding="utf-8").replace('help="', 'help="Now: ') + "\nEDITED = len('')\n")


def sort_definitions(copy: Path) -> None:
    """Functions behind all else, by their names; what is decorated stays, for a decorator may ask what was there before."""
    for path, tree in sources(copy):
        plain = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
        called = {
            name.id for node in tree.body if node not in plain for name in ast.walk(node) if isinstance(name, ast.Name)
        }
        later = sorted((node for node in plain if node.name not in called), key=lambda node: node.name)
        tree.body = [node for node in tree.body if node not in later] + later
        path.write_text(ast.unparse(tree), encoding="utf-8")


def move_files(copy: Path) -> None:
    (copy / "core").mkdir()
    (copy / "core/__init__.py").write_text("", encoding="utf-8")
    for name in ("seeds", "records", "files"):
        (copy / f"{name}.py").rename(copy / f"core/{name}s.py")
    for path in copy.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name in ("seeds", "records", "files"):
            text = text.replace(f"from tokencredit.{name} import", f"from tokencredit.core.{name}s import")
            text = re.sub(
                rf"from tokencredit import (.*\b)?{name}\b(.*)",
                lambda found, name=name: _without(found, name) + f"from tokencredit.core import {name}s as {name}",
                text,
            )
        path.write_text(text, encoding="utf-8")


def _without(found: re.Match[str], name: str) -> str:
    others = [each.strip() for each in f"{found[1] or ''}{found[2]}".split(",") if each.strip()]
    return f"from tokencredit import {', '.join(others)}; " if others else ""


def move_a_function(copy: Path) -> None:
    path, node = where(copy, "derive_seed")
    text = path.read_text(encoding="utf-8")
    function = ast.get_source_segment(text, node)
    head = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(("import ", "from ")))
    (copy / "derived.py").write_text(f"{head}\n\n{function}\n", encoding="utf-8")
    path.write_text(text.replace(function, "from tokencredit.derived import derive_seed"), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit",
    [
        format_anew,
        reword_docstrings,
        drop_annotations,
        reword_errors,
        edit_command_lines,
        sort_definitions,
        move_files,
        move_a_function,
    ],
)
def test_an_edit_that_changes_no_number_moves_no_digest(
    edit: Callable[[Path], None], copy: Path, before: dict[str, str]
) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in copy.rglob("*.py")}
    edit(copy)
    assert {path: path.read_text(encoding="utf-8") for path in copy.rglob("*.py")} != texts
    assert moved(before) == set()


@pytest.mark.slow
def test_every_computing_stage_is_in_the_table(before: dict[str, str]) -> None:
    """A stage that no row names is a hole in the table."""
    named = {
        stage
        for name, again in rows()
        for stage in expected(again, ".".join(where(PACKAGE, name)[0].relative_to(PACKAGE).with_suffix("").parts))
    }
    assert named == before.keys()


def test_environment_names_versions() -> None:
    found = environment("cuda:0")
    assert found["device"] == "cuda:0"
    assert found["torch"] == metadata.version("torch")
    assert set(provenance.PEERS) <= set(found)
    assert all(isinstance(value, str) for value in found.values())
    assert environment()["device"] == "cpu"


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PEERS", ("no-such-package",))
    assert environment()["no-such-package"] == "not installed"
