"""A study in one archive: the same bytes each time, refused where it is spoiled or of another study, and rebuilt without torch."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.workflow.project import Project, new_project
from tokencredit import bundle, files
from tokencredit.config import load_study
from tokencredit.errors import UserError

pytestmark = pytest.mark.workflow

# Found by Python before anything else is imported: these packages are as if they were not installed.
WITHOUT_MODELS = """\
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "tokenizers", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def pack(project: Project, out: Path) -> bytes:
    done = project.python("-m", "tokencredit.bundle", "pack", "--study", "smoke", "--out", str(out))
    assert done.returncode == 0, done.stdout
    return out.read_bytes()


@pytest.fixture(scope="session")
def packed(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "smoke.tar.gz"
    pack(finished, path)
    return path


def unpack(path: Path, project: Project) -> None:
    """Unpack in this process: a ``UserError`` is raised here."""
    arguments = ["unpack", str(path), "--config", str(project.folder / "config")]
    done = CliRunner().invoke(bundle.app, [*arguments, "--results", str(project.folder / "results")])
    if done.exception:
        raise done.exception


def test_the_same_results_give_the_same_bytes_and_no_model(finished: Project, packed: Path, tmp_path: Path) -> None:
    assert pack(finished, tmp_path / "again.tar.gz") == packed.read_bytes()
    names = bundle.read(packed).keys()
    assert "smoke/eval/eapo/seed0/toy-tier1/generations.parquet" in names
    assert "data/toy-tier1/problems.parquet" in names
    assert not [name for name in names if "/model" in name or name.startswith("models/")]


def test_tables_figures_and_page_are_rebuilt_without_torch(finished: Project, packed: Path, tmp_path: Path) -> None:
    clone = new_project(tmp_path / "clone")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/sitecustomize.py").write_text(WITHOUT_MODELS, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "blocked"), str(clone.folder / "workflow")])
    blocked = {"env": os.environ | {"PYTHONPATH": path}, "cwd": clone.folder, "text": True, "check": False}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    tried = subprocess.run([sys.executable, "-c", "import torch"], **blocked, **streams)
    assert "No module named 'torch'" in tried.stdout

    rebuild = ["-m", "tokencredit.bundle", "rebuild", str(packed), "--cores", "2"]
    made = subprocess.run([sys.executable, *rebuild], **blocked, **streams)
    assert made.returncode == 0, made.stdout
    assert set(re.findall(r"\(Rule: (\w+)\)", made.stdout)) == {"table", "figure", "report"}
    shown = sorted(path.relative_to(finished.folder) for path in finished.folder.glob("results/smoke/*/*.csv"))
    assert len(shown) > 8
    assert [path for path in shown if (clone.folder / path).read_bytes() != (finished.folder / path).read_bytes()] == []
    assert f"{len(shown)} of {len(shown)} tables' and figures' CSVs are the same" in made.stdout

    (clone.folder / shown[0]).write_text("no number", encoding="utf-8")
    compared = clone.python("-m", "tokencredit.bundle", "check", str(packed), "--results", "results")
    assert compared.returncode == 1
    assert f"{shown[0]}: differs" in compared.stdout


def test_another_configuration_is_refused_by_its_keys(packed: Path, project: Project) -> None:
    project.replace("config/studies/smoke.yaml", "  group_size: 4", "  group_size: 2")
    with pytest.raises(
        UserError, match=r"study.training.group_size = 4 there, 2 here; training.grpo.training.group_size"
    ):
        unpack(packed, project)
    assert not (project.folder / "results").exists()


def test_results_that_differ_are_not_written_over(packed: Path, project: Project) -> None:
    path = project.folder / "results/smoke/runs/eapo/seed0/run.json"
    files.write_json(path, {"mine": True})
    with pytest.raises(UserError, match=r"eapo/seed0/run.json: there already, with another content"):
        unpack(packed, project)
    assert files.read_json(path) == {"mine": True}
    assert list((project.folder / "results").rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read as a .tar.gz archive, it may be truncated"),
        (lambda data: gzip.compress(gzip.decompress(data).replace(b'"cell": "eapo"', b'"cell": "grpo"')), "spoiled"),
        (lambda data: b"no archive", "cannot be read as a .tar.gz archive"),
    ],
)
def test_a_spoiled_bundle_is_refused(packed: Path, tmp_path: Path, spoil: object, sentence: str) -> None:
    path = tmp_path / "spoiled.tar.gz"
    path.write_bytes(spoil(packed.read_bytes()))
    with pytest.raises(UserError, match=sentence):
        bundle.read(path)


def test_a_study_that_does_not_hold_together_is_not_packed(done: Project, tmp_path: Path) -> None:
    path = done.folder / "results/smoke/runs/phr/seed0/metrics.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    refused = done.python("-m", "tokencredit.bundle", "pack", "--study", "smoke", "--out", str(tmp_path / "out.tar.gz"))
    assert refused.returncode == 2
    assert "metrics.jsonl: 2 lines (2 different steps); the study asks for 3" in refused.stdout
    assert not (tmp_path / "out.tar.gz").exists()


def test_problems_go_with_a_bundle_where_their_licence_allows() -> None:
    """Competition problems are for evaluation only: a bundle holds what was answered and the digest, not the text."""
    study = load_study(Path(__file__).parents[2] / "config", "paper-7b")
    free = {name for name in study.config.datasets if bundle._is_free(study, name)}
    assert {"toy-train", "dapo-17k", "math-500"} <= free
    assert not {"aime24", "aime25", "amc23", "minerva"} & free
