"""What is reached from a function: by names, by what acts on import, by what comes in; and that no way leads past it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tokencredit.provenance import LEFT_OUT, PACKAGE
from tokencredit.provenance.reach import Reach, Sources

SOURCES = {
    "__init__.py": "",
    "errors.py": "class UserError(Exception): ...\n",
    "config.py": "A = 1\n",
    "stage/__init__.py": "from tokencredit.stage.other import far\n",
    "stage/other.py": "def far(): return 1\ndef farther(): return 2\n",
    "stage/run.py": (
        "import tokencredit.bare as bare\n"
        "from tokencredit import acting, config, loss, worker\n"
        "from tokencredit.errors import UserError\n"
        "from tokencredit.stage import far\n"
        "try:\n    from tokencredit.sure import safe\nexcept ImportError:\n    safe = None\n"
        "SCALE = 2\n"
        "UNUSED = 3\n"
        "def run(given: loss.Given):\n"
        '    """Runs."""\n'
        "    from tokencredit.late import drawn as shown\n"
        "    if given is None:\n"
        "        raise UserError('none is given')\n"
        "    command = f'from {worker.__name__} import serve'\n"
        "    return safe() * SCALE * loss.policy_loss(given) + far() + shown() + config.A, 'tokencredit.named', vars(bare)\n"
        "def unused(): return UNUSED\n"
    ),
    "loss.py": "def policy_loss(x): return _half(x)\ndef _half(x): return x / 2\ndef other(): ...\nclass Given:\n    a: int = 0\n",
    "late.py": "def drawn(): return 1\ndef undrawn(): return 2\n",
    "acting.py": "import tokencredit.deeper\nTABLE = {}\nTABLE['a'] = 1\ndef idle(): return 1\n",
    "deeper.py": "import os\nos.environ['THREADS'] = '1'\n",
    "sure.py": "def safe(): return 1\n",
    "worker.py": "def serve(): return 1\n",
    "named.py": "def loaded(): return 1\n",
    "bare.py": "def any_of_it(): return 1\n",
    "stranger.py": "from tokencredit import loss\nloss.policy_loss = None\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package, written anew for each test."""
    folder = tmp_path / "tokencredit"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def digest(package: Path, *roots: str, left_out: tuple[str, ...] = ("config", "errors")) -> str:
    return Reach(Sources(package), roots or ("stage.run.run",), left_out).digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage/run.py", "SCALE = 2", "SCALE = 4"),
        ("stage/run.py", "SCALE * ", "SCALE - "),
        ("stage/run.py", "is None", "is not None"),
        ("stage/other.py", "return 1", "return 4"),  # by way of its package
        ("stage/run.py", "drawn as shown", "undrawn as shown"),  # what a name stands for
        ("loss.py", "x / 2", "x / 4"),  # a helper's helper
        ("loss.py", "a: int = 0", "a: int = 1"),  # what comes in
        ("loss.py", "a: int = 0", "a: float = 0"),  # a dataclass or a model is made of them
        ("late.py", "return 1", "return 4"),
        ("acting.py", "TABLE['a'] = 1", "TABLE['a'] = 2"),  # acts on import, although no name leads there
        ("deeper.py", "'1'", "'2'"),
        ("worker.py", "return 1", "return 4"),  # in another process, by the name of its module
        ("named.py", "return 1", "return 4"),
        ("sure.py", "return 1", "return 4"),  # imported under a condition
        ("bare.py", "return 1", "return 4"),  # a module as a value
    ],
)
def test_what_is_reached_changes_the_digest(file: str, old: str, new: str, package: Path) -> None:
    before = digest(package)
    assert old in SOURCES[file]
    (package / file).write_text(SOURCES[file].replace(old, new))
    assert digest(package) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stage/run.py", "return UNUSED", "return -UNUSED"),
        ("stage/run.py", "Runs.", "Runs it."),
        ("stage/run.py", "none is given", "nothing is given"),
        ("stage/run.py", "SCALE = 2", "# twice\nSCALE: int = (2)"),
        ("stage/run.py", "SCALE = 2\nUNUSED = 3\n", "UNUSED = 3\nSCALE = 2\n"),
        ("stage/other.py", "return 2", "return 4"),
        ("loss.py", "def other(): ...", "def other(): return 3"),
        ("loss.py", "def _half(x):", "def _half(x: float) -> float:"),
        ("late.py", "return 2", "return 4"),
        ("acting.py", "idle(): return 1", "idle(): return 4"),
        ("config.py", "A = 1", "A = 2"),
        ("errors.py", "...", "code = 2"),
        ("stranger.py", "None", "1"),
    ],
)
def test_what_is_not_reached_does_not(file: str, old: str, new: str, package: Path) -> None:
    before = digest(package)
    assert old in SOURCES[file]
    (package / file).write_text(SOURCES[file].replace(old, new))
    assert digest(package) == before


@pytest.mark.slow
def test_a_definition_or_a_module_that_moves_changes_nothing(package: Path) -> None:
    before = digest(package)
    (package / "far").mkdir()
    (package / "far/__init__.py").write_text("")
    (package / "loss.py").rename(package / "far/loss.py")
    (package / "late.py").write_text("from tokencredit.far.late import drawn\n")
    (package / "far/late.py").write_text("def drawn(): return 1\n")
    run = SOURCES["stage/run.py"].replace("config, loss, worker", "config, worker\nfrom tokencredit.far import loss")
    (package / "stage/run.py").write_text(run)
    assert digest(package) == before


def test_two_definitions_that_change_places_change_the_digest(package: Path) -> None:
    """All that is reached is the same, and the names say another thing."""
    for name, text in {"a.py": "def f(): return 1\n", "b.py": "def f(): return 2\n"}.items():
        (package / name).write_text(text)
    (package / "both.py").write_text(
        "from tokencredit.a import f as g\nfrom tokencredit.b import f\ndef run(): return f() - g()\n"
    )
    before = digest(package, "both.run")
    (package / "both.py").write_text(
        "from tokencredit.b import f as g\nfrom tokencredit.a import f\ndef run(): return f() - g()\n"
    )
    assert digest(package, "both.run") != before


def test_a_decorator_that_may_register_counts_with_its_module(package: Path) -> None:
    (package / "registry.py").write_text("ALL = {}\ndef method(f):\n    ALL[f.__name__] = f\n    return f\n")
    text = "from tokencredit.registry import ALL, method\n@method\ndef one(x: {}): return 1\ndef two(): return 2\ndef run(): return ALL\n"
    (package / "family.py").write_text(text.format("int"))
    before = digest(package, "family.run")
    (package / "family.py").write_text(text.format("float"))  # the decorator may read it
    assert digest(package, "family.run") != before
    (package / "family.py").write_text(text.format("int").replace("two(): return 2", "two(): return 4"))
    assert digest(package, "family.run") == before


def test_a_module_as_root_is_all_of_it_and_a_package_what_it_offers(package: Path) -> None:
    nodes = {(node.module, node.name) for node in Reach(Sources(package), ("stage",), ()).nodes}
    assert ("tokencredit.stage.other", "far") in nodes
    assert ("tokencredit.stage.other", "farther") not in nodes
    nodes = {(node.module, node.name) for node in Reach(Sources(package), ("stage.other",), ()).nodes}
    assert ("tokencredit.stage.other", "farther") in nodes


@pytest.mark.parametrize(
    ("roots", "left_out", "error", "said"),
    [
        (("stage.walk.run",), (), ModuleNotFoundError, r"tokencredit\.stage\.walk"),
        (("stage.run.walk",), (), AttributeError, r"tokencredit\.stage\.run defines no walk"),
        (("stage.run",), ("plot",), ModuleNotFoundError, r"tokencredit\.plot"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(
    roots: tuple[str, ...], left_out: tuple[str, ...], error: type[Exception], said: str, package: Path
) -> None:
    with pytest.raises(error, match=said):
        digest(package, *roots, left_out=left_out)


# Where modules are loaded by a name that is computed: whoever asks for a digest names the module that is taken.
UNREAD = ("__init_subclass__", "__import__", "globals", "singledispatch")
LOADED_BY_NAME = {
    *("credit/__init__.py", "data/tasks/__init__.py", "analysis/tables/__init__.py", "analysis/figures/__init__.py"),
    "tools/methods_page.py",
}


@pytest.mark.slow
def test_nothing_leads_past_the_reading_of_sources() -> None:
    """What a reader of names does not see: relative imports, stars, modules with ``__getattr__``, classes that register their heirs."""
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(getattr(node, "name", None) == "__getattr__" for node in tree.body), path
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, path
                assert node.names[0].name != "*", path
            name = getattr(node, "name", None) or getattr(node, "id", None) or getattr(node, "attr", None)
            assert name not in UNREAD, path
            assert not (isinstance(node, ast.Name) and name in ("exec", "eval")), path
            if name in ("import_module", "iter_modules"):
                assert path.relative_to(PACKAGE).as_posix() in LOADED_BY_NAME, path


def test_what_is_left_out_touches_nothing_that_counts() -> None:
    """It imports no module that counts, and none that computes; the configuration, which counts by its result, may."""
    computing = ("torch", "numpy", "pandas", "random", "transformers", "math_verify")
    for name in LEFT_OUT.keys() - {"config", "study"}:
        path = PACKAGE.joinpath(*name.split("."))
        for file in path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                for module in _modules(node):
                    assert not module.startswith(computing), f"{name} imports {module}"
                    own = module.removeprefix("tokencredit.")
                    if module.startswith("tokencredit."):
                        assert own in LEFT_OUT or own.startswith(f"{name}."), f"{name} imports {module}"


def test_what_computes_asks_of_a_study_only_what_decides_no_number() -> None:
    """Where files are, what has a digest, and what was accepted: so the rooms of ``study`` need not count."""
    allowed = {"code", "paths", "acceptance", "settings"}
    for room in ("credit", "data", "grading", "engines", "policy", "base", "train", "evaluate", "oracle"):
        for path in PACKAGE.joinpath(room).rglob("[!_]*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tokencredit.study"):
                    _, _, room = node.module.partition("tokencredit.study.")
                    assert ({room} if room else {each.name for each in node.names}) <= allowed, path


@pytest.mark.slow
def test_nothing_reads_what_an_error_says_but_to_show_it() -> None:
    """For this the sentences of errors count in no digest."""
    catching = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type and "UserError" in ast.unparse(node.type)
    }
    shown = {
        "cli.py",
        "lineage.py",
        "sources.py",
        "overview.py",
        "submission.py",
        "bench_records.py",
        "so_far.py",
        "checks.py",
    }
    assert {Path(name).name for name in catching} <= shown


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
