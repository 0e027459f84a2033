"""A study in one archive: the same bytes each time, refused where it is spoiled or of another study, and rebuilt without torch."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.workflow.project import Project, new_project
from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.analysis.store import Store
from tokencredit.config import FileDataset, load_study
from tokencredit.errors import UserError
from tokencredit.evaluate.score import score_row
from tokencredit.study.exhibits import exhibits_of
from tokencredit.tools import archive, bundle

pytestmark = pytest.mark.workflow

# Found by Python before anything else is imported: these packages are as if they were not installed.
WITHOUT_MODELS = """\
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "tokenizers", "safetensors", "regex"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def pack(project: Project, out: Path) -> bytes:
    done = project.python("-m", "tokencredit", "bundle", "pack", "--study", "smoke", "--out", str(out))
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
    done = CliRunner().invoke(app, ["bundle", *arguments, "--results", str(project.folder / "results")])
    if done.exception:
        raise done.exception


def test_the_same_results_give_the_same_bytes_and_no_model(finished: Project, packed: Path, tmp_path: Path) -> None:
    assert pack(finished, tmp_path / "again.tar.gz") == packed.read_bytes()
    names = archive.read(packed).keys()
    assert "smoke/eval/eapo/seed0/toy-tier1/generations.parquet" in names
    assert "data/toy-tier1/problems.parquet" in names
    assert not [name for name in names if "/model" in name or name.startswith("models/") or "notes" in name]


def test_a_crate_describes_every_record_and_is_the_same_bytes_each_time(
    finished: Project, packed: Path, tmp_path: Path
) -> None:
    """Another program reads it back: its root, the workflow, and every file with its size and digest."""
    rocrate = pytest.importorskip("rocrate.rocrate")
    for name in ("crate", "again"):
        words = ["--licence", "CC-BY-4.0", "--published", "2026-11-30", "--config", str(finished.folder / "config")]
        done = CliRunner().invoke(app, ["bundle", "crate", str(packed), "--out", str(tmp_path / name), *words])
        assert done.exit_code == 0, done.exception
    metadata = "ro-crate-metadata.json"
    assert (tmp_path / "crate" / metadata).read_bytes() == (tmp_path / "again" / metadata).read_bytes()

    read = rocrate.ROCrate(tmp_path / "crate")
    assert (read.name, read.root_dataset["datePublished"]) == ("Smoke test of the graph", "2026-11-30")
    assert read.description.startswith("Does EAPO end higher than")
    assert read.license.id == "https://spdx.org/licenses/CC-BY-4.0"
    assert (read.mainEntity.id, read.mainEntity["programmingLanguage"]["name"]) == ("Snakefile", "Snakemake")
    assert any(each["name"] == "torch" for each in read.mainEntity["softwareRequirements"])
    described = {each.id: each for each in read.data_entities if each.type == "File"}
    for name, data in archive.read(packed).items():
        entity = described[f"results/{name}"]
        assert (entity["sha256"], entity["contentSize"]) == (archive.sha256(data), str(len(data))), name
        assert (tmp_path / "crate/results" / name).read_bytes() == data


@pytest.mark.parametrize(
    ("licence", "published", "sentence"),
    [("my own", "2026-11-30", "must be an SPDX identifier"), ("MIT", "30.11.2026", "must be a day, YYYY-MM-DD")],
)
def test_a_crate_without_a_licence_or_a_day_is_refused(
    tmp_path: Path, licence: str, published: str, sentence: str
) -> None:
    words = ["--licence", licence, "--published", published, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["bundle", "crate", str(tmp_path / "no.tar.gz"), *words])
    assert sentence in str(done.exception)


def test_tables_figures_and_page_are_rebuilt_without_torch(finished: Project, packed: Path, tmp_path: Path) -> None:
    clone = new_project(tmp_path / "clone")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/sitecustomize.py").write_text(WITHOUT_MODELS, encoding="utf-8")
    blocked = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "blocked"), str(clone.folder / "workflow")])}
    tried = clone.python("-c", "import torch", **blocked)
    assert "No module named 'torch'" in tried.stdout

    # Newer than the records that are unpacked: what they were made from, and a table that nobody made.
    shutil.copytree(finished.folder / "results/models", clone.folder / "results/models")
    shutil.copytree(finished.folder / "results/smoke/tables", clone.folder / "results/smoke/tables")
    clone.append("results/smoke/tables/table1.csv", "no number\n")
    made = clone.python("-m", "tokencredit", "rebuild", str(packed), "--cores", "2", **blocked)
    assert made.returncode == 0, made.stdout
    assert set(re.findall(r"\(Rule: (\w+)\)", made.stdout)) == {"table", "figure", "report"}
    shown = sorted(path.relative_to(finished.folder) for path in finished.folder.glob("results/smoke/*/*.csv"))
    assert len(shown) > 8
    assert [path for path in shown if (clone.folder / path).read_bytes() != (finished.folder / path).read_bytes()] == []
    assert f"{len(shown)} of {len(shown)} tables' and figures' CSVs are the same" in made.stdout

    (clone.folder / shown[0]).write_text("no number", encoding="utf-8")
    compared = clone.python("-m", "tokencredit", "bundle", "check", str(packed), "--results", "results")
    assert compared.returncode == 1
    assert f"{shown[0]}: differs" in compared.stdout


PART = "title: Part\npart_of: smoke\nmethods: [grpo]\nseeds: [0]\noracle: null\n"


def test_a_part_is_made_from_the_runs_of_its_whole_packed_without_responses_and_rebuilt(
    done: Project, project: Project, tmp_path: Path
) -> None:
    for each in (done, project):
        files.write_text(each.folder / "config/studies/part.yaml", PART)
    assert {job.rule for job in done.jobs("--config", "study=part")} == {"table", "figure", "report"}
    show_part(done)
    path = tmp_path / "part.tar.gz"
    options = ["--study", "part", "--out", str(path), "--without-responses"]
    packing = done.python("-m", "tokencredit", "bundle", "pack", *options)
    assert packing.returncode == 0, packing.stdout
    assert "left out: responses of evaluations and their grades (--without-responses)" in packing.stdout
    members = archive.read(path)
    assert list(json.loads(members["bundle.json"])["left_out"]) == ["responses of evaluations and their grades"]
    assert {name.split("/")[2] for name in members if name.startswith("smoke/runs/")} == {"grpo"}
    evaluated = {f"smoke/eval/{row}/seed0/scores.parquet" for row in ("base", "grpo")}
    assert {name for name in members if "/eval/" in name} == evaluated
    assert not [name for name in members if name.startswith("part/")]

    unpacking = project.python("-m", "tokencredit", "bundle", "unpack", str(path))
    (rebuild,) = re.findall(r"tables, figures and page: snakemake (.*)", unpacking.stdout)
    assert {job.rule for job in project.jobs(*rebuild.split())} == {"table", "figure", "report"}
    show_part(project)
    shown = sorted((done.folder / "results/part").glob("*/*.csv"))
    assert len(shown) > 8
    checked = project.python("-m", "tokencredit", "bundle", "check", str(path), "--results", "results")
    assert f"{len(shown)} of {len(shown)} tables' and figures' CSVs are the same" in checked.stdout
    project.replace("config/studies/smoke.yaml", "  group_size: 4", "  group_size: 2")
    with pytest.raises(UserError, match=r"study.training.group_size = 4 there, 2 here"):
        unpack(path, project)


def show_part(project: Project) -> None:
    """What a job each would make, by one command of each kind."""
    where = ("--config", "config", "--study", "part", "--results", "results", "--out")
    for kind, out in (("tables", "tables"), ("figures", "figures"), ("report", "index.html")):
        made = project.python("-m", "tokencredit.analysis", kind, *where, f"results/part/{out}")
        assert made.returncode == 0, made.stdout


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


def test_notes_go_with_a_bundle_and_on_where_it_is_unpacked(done: Project, project: Project, tmp_path: Path) -> None:
    """Without notes the archive is as ever; notes that were written since stay, other ones are not written over."""
    noted = ("-m", "tokencredit", "note", "--study", "smoke", "--by")
    assert done.python(*noted, "A person", "first").returncode == 0
    path, name = tmp_path / "noted.tar.gz", "smoke/notes.jsonl"
    members = archive.read(path) if pack(done, path) else {}
    assert members[name] == (done.folder / "results" / name).read_bytes()
    unpack(path, project)
    own = project.folder / "results" / name
    assert project.python(*noted, "Another", "second").returncode == 0
    unpack(path, project)
    assert [line["text"] for line in files.read_jsonl(own)] == ["first", "second"]
    files.write_text(own, own.read_text(encoding="utf-8").replace("first", "other"))
    with pytest.raises(UserError, match=r"smoke/notes\.jsonl: there already, with another content"):
        unpack(path, project)


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
        archive.read(path)


def test_a_study_that_does_not_hold_together_is_not_packed(done: Project, tmp_path: Path) -> None:
    path = done.folder / "results/smoke/runs/phr/seed0/metrics.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    refused = done.python(
        "-m", "tokencredit", "bundle", "pack", "--study", "smoke", "--out", str(tmp_path / "out.tar.gz")
    )
    assert refused.returncode == 2
    assert "metrics.jsonl: 2 lines (2 different steps); the study asks for 3" in refused.stdout
    assert not (tmp_path / "out.tar.gz").exists()


@pytest.mark.parametrize(
    ("path", "key", "sentence"),
    [
        ("runs/eapo/seed0/run.json", "config_digest", "run.json: config_digest = 'other'; '"),
        ("runs/eapo/seed0/run.json", "model_sha256", "scores.parquet: toy-tier1.model_sha256 = "),
        ("runs/eapo/seed0/run.json", "digests", "run.json: digests.data toy-train = 'other'; '"),
        ("eval/base/seed0/scores.parquet", "config_digest", "scores.parquet: toy-tier1.config_digest = 'other'; '"),
        ("eval/base/seed0/scores.parquet", "data_sha256", "scores.parquet: toy-tier1.data_sha256 = 'other'; '"),
        ("oracle/base/seed0/states.parquet", "rollouts_sha256", "states.parquet: rollouts_sha256 = 'other'; {'"),
        ("oracle/base/seed0/branches.parquet", "oracle", "branches.parquet: oracle = 'other'; {'"),
        ("attribution/seed0/groups.parquet", "reference", "groups.parquet: reference = 'other'; 'grpo' is expected"),
    ],
)
def test_records_of_another_configuration_model_or_data_set_are_not_packed(
    done: Project, tmp_path: Path, path: str, key: str, sentence: str
) -> None:
    spoiled = done.folder / "results/smoke" / path
    other = {"data toy-train": "other"} if key == "digests" else "other"
    if spoiled.suffix == ".json":
        files.write_json(spoiled, files.read_json(spoiled) | {key: other})
    else:
        about = files.parquet_metadata(spoiled)
        about.get("benchmarks", {}).get("toy-tier1", about)[key] = other
        files.write_parquet(spoiled, files.read_parquet(spoiled), about)
    assert sentence in refused(done, tmp_path)


def test_a_table_that_was_not_made_from_the_records_is_not_packed(done: Project, tmp_path: Path) -> None:
    table = done.folder / "results/smoke/tables/table1.csv"
    whole = table.read_bytes()
    table.write_bytes(whole + b"\n")
    assert "table1.csv: was not made from the records that stand there now" in refused(done, tmp_path)
    table.write_bytes(whole)
    origin = files.read_json(table.with_suffix(".json"))
    origin["files"]["smoke/eval/base/seed0/scores.parquet"] = "other"
    files.write_json(table.with_suffix(".json"), origin)
    assert "table1.csv: was not made from the records that stand there now" in refused(done, tmp_path)
    table.unlink()
    assert "table1.csv: no such file" in refused(done, tmp_path)


def refused(project: Project, folder: Path) -> str:
    arguments = ["pack", "--study", "smoke", "--out", str(folder / "out.tar.gz")]
    where = ["--config", str(project.folder / "config"), "--results", str(project.folder / "results")]
    done = CliRunner().invoke(app, ["bundle", *arguments, *where])
    assert isinstance(done.exception, UserError)
    assert not (folder / "out.tar.gz").exists()
    return str(done.exception)


def rewritten(packed: Path, path: Path, made: dict[str, str] | None = None, **more: bytes) -> Path:
    """The bundle with ``more`` files, and another list of what was ``made`` of it; its checksums are right."""
    members = archive.read(packed) | more
    content = json.loads(members["bundle.json"])
    members["bundle.json"] = json.dumps(content if made is None else content | {"made": made}).encode()
    archive.write(path, members)
    return path


def test_a_bundle_that_brings_its_own_tables_is_refused(packed: Path, project: Project, tmp_path: Path) -> None:
    path = rewritten(packed, tmp_path / "own.tar.gz", **{"smoke/tables/table1.csv": b"avg\n100\n"})
    with pytest.raises(UserError, match=r"holds .*table1.csv, which is made from the records"):
        unpack(path, project)
    assert not (project.folder / "results").exists()


def test_a_bundle_that_names_no_table_or_not_every_table_is_refused(
    packed: Path, project: Project, tmp_path: Path
) -> None:
    path = rewritten(packed, tmp_path / "none.tar.gz", made={})
    compared = CliRunner().invoke(app, ["bundle", "check", str(path), "--results", str(tmp_path)])
    assert "names no table or figure that its records could be compared by" in str(compared.exception)
    with pytest.raises(
        UserError, match=r"should name the tables and figures of study smoke.*smoke/figures/diagnostics.csv"
    ):
        unpack(path, project)


@pytest.mark.parametrize(
    ("name", "kind"), [("../out.json", tarfile.REGTYPE), ("/out.json", tarfile.REGTYPE), ("data/x", tarfile.SYMTYPE)]
)
def test_an_archive_that_leads_out_of_the_results_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    path = tmp_path / "out.tar.gz"
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    with tarfile.open(path, "w:gz") as made:
        made.addfile(member)
    with pytest.raises(UserError, match=rf"{re.escape(name)}: is not a plain file below the results"):
        archive.read(path)


def test_the_problems_of_a_data_set_that_is_not_free_are_left_out(
    done: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second benchmark of the finished study becomes one of questions that may not be passed on; its responses may."""
    results, study = done.folder / "results", load_study(done.folder / "config", "smoke")
    study.config.datasets["toy-tier2"] = FileDataset(
        kind="file", title="Tier 2", licence="evaluation only", file="tier2.jsonl", rows=100, sha256="0" * 64
    )
    for row in study.rows:
        folder = results / "smoke/eval" / row.path
        responses, grades = (folder / "toy-tier2" / f"{name}.parquet" for name in ("generations", "grades"))
        with_this = {"config_digest": files.digest_of(study.evaluation_config(row, "toy-tier2"))}
        say(responses, with_this)
        say(grades, with_this | {"generations_sha256": files.sha256(responses)})
        files.write_parquet(folder / "scores.parquet", *score_row(study, row, folder, results / "data"))
    store = Store(study, results)
    for entry in exhibits_of(study):  # the scores are the same
        path = store.paths.origin(entry.kind, entry.name)
        files.write_json(path, files.read_json(path) | {"files": store.provenance(entry.kind, entry.name)})
    monkeypatch.setattr(bundle, "load_study", lambda config, name: study)
    out = tmp_path / "smoke.tar.gz"
    packing = CliRunner().invoke(
        app, ["bundle", "pack", "--study", "smoke", "--out", str(out), "--results", str(results)]
    )
    assert packing.exit_code == 0, packing.exception
    assert "left out: the problems of toy-tier2 (evaluation only)" in packing.output
    names = archive.read(out).keys()
    held = {name for name in names if name.startswith("data/toy-tier")}
    assert held == {
        f"data/{name}" for name in ("toy-tier1/problems.parquet", "toy-tier1/manifest.json", "toy-tier2/manifest.json")
    }
    assert "smoke/eval/base/seed0/toy-tier2/generations.parquet" in names


def say(path: Path, more: dict[str, str]) -> None:
    """Let a Parquet table say more, or something else, of itself."""
    files.write_parquet(path, files.read_parquet(path), files.parquet_metadata(path) | more)


def test_problems_go_with_a_bundle_where_their_licence_allows() -> None:
    """Competition problems are for evaluation only: a bundle holds what was answered and the digest, not the text."""
    study = load_study(Path(__file__).parents[2] / "config", "paper-7b")
    free = {name for name in study.config.datasets if bundle.is_free(study, name)}
    assert {"toy-train", "dapo-17k", "math-500"} <= free
    assert not {"aime24", "aime25", "amc23", "minerva"} & free
