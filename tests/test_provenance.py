"""Code digests: they change with the code that a stage imports, and with no other."""

from __future__ import annotations

import ast
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from tokencredit import provenance
from tokencredit.provenance import code_digest, environment, imported_files
from tokencredit.study import code

PACKAGE = provenance.PACKAGE


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package: stage -> loss -> errors, stage -> config, stage -> plots late, and a stranger."""
    folder = tmp_path / "tokencredit"
    sources = {
        "__init__.py": "",
        "errors.py": "class E(Exception): ...\n",
        "config.py": "A = 1\n",
        "stage/__init__.py": "from tokencredit.stage.other import B\n",
        "stage/other.py": "B = 1\n",
        "stage/run.py": "import os\nfrom tokencredit import config, loss\n\ndef late():\n    from tokencredit.plots import draw\n",
        "loss.py": "import tokencredit.errors\n",
        "plots.py": "def draw(): ...\n",
        "stranger.py": "from tokencredit import loss\n",
    }
    for name, text in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    return folder


def names(folder: Path, *modules: str, **more: tuple[str, ...]) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in imported_files(*modules, **more)}


def test_imports_are_followed_wherever_they_stand(package: Path) -> None:
    assert names(package, "stage.run") == {"__init__.py", "stage/run.py", "loss.py", "errors.py", "plots.py"}
    assert names(package, "stage.run", without=("plots",)) == {"__init__.py", "stage/run.py", "loss.py", "errors.py"}
    assert names(package, "stage") == {"stage/__init__.py", "stage/other.py"}


@pytest.mark.parametrize("edited", ["loss.py", "errors.py", "plots.py", "stage/run.py"])
def test_imported_code_changes_the_digest(edited: str, package: Path) -> None:
    before = code_digest("stage.run")
    with (package / edited).open("a") as file:
        file.write("# edited\n")
    assert code_digest("stage.run") != before


@pytest.mark.parametrize("edited", ["config.py", "stranger.py", "stage/other.py"])
def test_other_code_does_not(edited: str, package: Path) -> None:
    before = code_digest("stage.run")
    with (package / edited).open("a") as file:
        file.write("# edited\n")
    assert code_digest("stage.run") == before


def test_renaming_a_module_changes_the_digest(package: Path) -> None:
    before = code_digest("errors", "plots")
    text = (package / "errors.py").read_text()
    (package / "errors.py").write_text((package / "plots.py").read_text())
    (package / "plots.py").write_text(text)
    assert code_digest("errors", "plots") != before
    assert code_digest("errors", "plots") == code_digest("plots", "errors")


@pytest.mark.usefixtures("package")
def test_a_module_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tokencredit\.stage\.walk"):
        code_digest("stage.walk")
    with pytest.raises(ModuleNotFoundError, match=r"tokencredit\.plot"):
        code_digest("stage.run", without=("plot",))


def test_the_package_has_no_relative_imports() -> None:
    """They would not be followed."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_what_training_depends_on() -> None:
    training = names(PACKAGE, "train.__main__")
    assert {"train/loop.py", "policy/loss.py", "files.py", "seeds.py", "errors.py"} <= training
    assert not {name for name in training if name.startswith(("analysis/", "config/"))}


def test_what_data_depends_on() -> None:
    data = names(PACKAGE, "data.prepare", without=("data.embedded",))
    assert {"data/sources.py", "data/text.py", "files.py"} <= data
    assert not {
        name for name in data if name.startswith(("data/embedded", "train/", "policy/", "engines/", "analysis/"))
    }


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


STAGES = {
    "train, transformers": lambda: code.training("transformers", "grpo"),
    "train, vllm": lambda: code.training("vllm", "grpo"),
    "generate, transformers": lambda: code.generation("transformers"),
    "generate, vllm": lambda: code.generation("vllm"),
    "score": lambda: code_digest("evaluate.score"),
}
TRAINING, VLLM = {"train, transformers", "train, vllm"}, {"train, vllm", "generate, vllm"}


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("engines/transformers_engine.py", {"train, transformers", "generate, transformers"}),
        ("engines/vllm_engine.py", VLLM),
        ("engines/vllm_worker.py", VLLM),
        ("engines/canary.py", VLLM),
        ("engines/ending.py", TRAINING | {"generate, transformers", "generate, vllm"}),
        ("policy/head.py", TRAINING | {"generate, vllm"}),  # the canary compares with the policy's passes
        ("policy/loss.py", TRAINING | {"generate, vllm"}),
        ("train/loop.py", TRAINING),
        ("credit/grpo.py", TRAINING),
        ("evaluate/generate.py", {"generate, transformers", "generate, vllm"}),
        ("evaluate/score.py", {"score"}),
        ("cost/estimate.py", set()),
    ],
)
def test_what_is_made_again_when_a_file_changes(
    edited: str, changed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {stage: code() for stage, code in STAGES.items()}
    copy = shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    assert {stage: code() for stage, code in STAGES.items()} == before
    with (copy / edited).open("a") as file:
        file.write("# edited\n")
    assert {stage for stage, code in STAGES.items() if code() != before[stage]} == changed
