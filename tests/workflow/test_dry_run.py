"""What the graph says it would run, for every study, and what it says about names that do not exist."""

from __future__ import annotations

import re
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project
from tokencredit.config import Config, EmbeddedModel
from tokencredit.study.data_recipes import searches, tuned
from tokencredit.study.exhibits import planned
from tokencredit.study.jobs import RULES, jobs_of

CONFIG = Config(ROOT / "config")
pytestmark = pytest.mark.workflow


def expected_jobs(name: str, config: Config = CONFIG) -> dict[str, int]:
    """Jobs by rule, counted from the configuration."""
    study = config.study(name)
    shown = planned(study)
    tested = {benchmark.dataset for benchmark in study.benchmarks.values()}
    learned = [study.start.dataset] if study.start else []
    used = {*tested, *learned, *study.training.datasets, CONFIG.benchmarks[study.training.curve.benchmark].dataset}
    if study.validation:
        used.add(study.validation.dataset)
    embedded = sum(isinstance(CONFIG.models[model], EmbeddedModel) for model in study.model_names)
    counts = {
        "prepare": len(used),
        "overlap": len({*learned, *study.training.datasets}) * len(tested),
        "pretrain": embedded,
        "fetch": len(study.model_names) - embedded,
        "audit": len(study.benchmarks),
        "start": len(learned),
        "pool": int(study.data_recipe is not None),
        "search": len(searches(study)),
        "tune": len(tuned(study)),
        "train": len(study.methods) * len(study.training.seeds),
        "oracle": len(study.oracle.policies) * len(study.training.seeds) if study.oracle else 0,
        "attribute": len(study.training.seeds) if study.attribution else 0,
        "generate": len(study.rows) * len(study.benchmarks),
        "grade": len(study.rows) * len(study.benchmarks),
        "score": len(study.rows),
        "table": len(shown["tables"]),
        "figure": len(shown["figures"]),
        "report": 1,
    }
    return {rule: count for rule, count in counts.items() if count}


def test_every_study_has_its_jobs() -> None:
    """As many as its configuration asks for. ``make dry-run`` holds every study's graph against them, and the next test that of two."""
    for name in CONFIG.study_names:
        assert Counter(unit.rule for unit in jobs_of(CONFIG.study(name))) == expected_jobs(name), name


def test_make_dry_run_prints_a_table_and_finds_what_is_not_as_configured(project: Project) -> None:
    """Of a study on an embedded model with an oracle, and of one on a released model."""
    kept = ["paper-quadrants", "smoke"]
    for path in project.folder.glob("config/studies/*.yaml"):
        if path.stem not in kept:
            path.unlink()
    (project.folder / "config/targets.yaml").unlink()  # it names studies of the paper
    done = project.python("-m", "tokencredit", "dry-run")
    assert done.returncode == 0, done.stdout
    head, *lines, end = (text.replace(",", "").split() for text in done.stdout.splitlines())
    found = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert list(found) == kept
    config = Config(project.folder / "config")
    for name, numbers in found.items():
        expected = expected_jobs(name, config)
        assert {rule: int(numbers[rule]) for rule in RULES if numbers[rule] != "0"} == expected, name
        assert numbers["jobs"] == str(sum(expected.values()))
    assert found["smoke"]["generations"] == str(5 * 2 * 8 * 4)
    assert end[:2] == ["2", "studies"]

    (project.folder / "config/studies/paper-quadrants.yaml").unlink()
    project.replace("workflow/rules/report.smk", "results/logs/report/{study}.log", "results/logs/reports/{study}.log")
    done = project.python("-m", "tokencredit", "dry-run")
    assert done.returncode == 2
    assert (
        "error: the graph is not what the configuration says: smoke: the configuration asks for report "
        "results/smoke/index.html (log results/logs/report/smoke.log), and the graph does not make it."
    ) in done.stdout

    project.replace("workflow/rules/report.smk", "{wildcards.study} --results", "{wildcards.method} --results")
    done = project.python("-m", "tokencredit", "dry-run")
    assert done.returncode == 2
    assert "'Wildcards' object has no attribute 'method'" in done.stdout


# The Snakefile's own: the package, which needs pydantic and YAML (Snakemake's too), and the schema check of snakemake.utils.
OWN = {"tokencredit", "jsonschema", "jsonschema_specifications", "referencing", "rpds", "attr", "attrs", "packaging"}


def test_a_dry_run_imports_nothing_that_computes(project: Project) -> None:
    """Beside what Snakemake imports for an empty Snakefile; pandas is among that, where its Slurm plugin is installed."""
    (project.folder / "empty").write_text("rule all:\n    output: 'x'\n    shell: 'touch x'\n", encoding="utf-8")
    own = imported(project, "--config", "study=paper-quadrants") - imported(project, "--snakefile", "empty")
    assert "tokencredit" in own
    # What is not installed was only tried for, by jsonschema.
    assert {name for name in own if find_spec(name)} - sys.stdlib_module_names <= OWN


def imported(project: Project, *arguments: str) -> set[str]:
    """The top-level packages that a dry run imports, or tries to."""
    done = project.python("-X", "importtime", "-m", "snakemake", "--dry-run", "--quiet", *arguments)
    assert done.returncode == 0, done.stdout
    names = re.findall(r"^import time: .*\| +(\S+)$", done.stdout, flags=re.MULTILINE)
    assert "snakemake" in names
    return {name.split(".")[0] for name in names}


def test_a_cell_is_asked_for_by_its_path_whatever_the_study(fresh: Project) -> None:
    jobs = fresh.jobs("results/paper-7b/runs/eapo/seed1/run.json")
    assert [job.outputs[0] for job in jobs if job.rule == "train"] == ["results/paper-7b/runs/eapo/seed1/run.json"]
    assert {job.rule for job in jobs} == {"prepare", "fetch", "audit", "train"}


def test_a_cell_waits_for_its_teacher(fresh: Project) -> None:
    """The teacher is a model of its own, and the trainer is told where it is; a cell without one is not."""
    runs = [f"results/toy-methods/runs/{method}/seed0/run.json" for method in ("iw-opd", "eapo")]
    told = fresh.run("--dry-run", "--printshellcmds", *runs).stdout
    trainers = [line for line in told.splitlines() if "tokencredit.train" in line]
    with_teacher = ["--teacher results/models/embedded-1m-teacher " in line for line in sorted(trainers)]
    assert with_teacher == [False, True], told
    assert "output: results/models/embedded-1m-teacher/model.json" in told


def test_a_part_asks_for_runs_of_its_whole_and_for_no_others(project: Project) -> None:
    part = "title: Part\npart_of: smoke\nmethods: [grpo, eapo]\nseeds: [0]\n"
    (project.folder / "config/studies/part.yaml").write_text(part, encoding="utf-8")
    config = Config(project.folder / "config")
    jobs = project.jobs("--config", "study=part")
    runs = {job.outputs[0] for job in jobs if job.rule == "train"}
    assert runs == {f"results/smoke/runs/{row.path}/run.json" for row in config.study("part").rows if row.method}
    assert 0 < len(runs) < sum(row.method is not None for row in config.study("smoke").rows)
    shown = {job.outputs[0].split("/")[1] for job in jobs if job.rule in ("oracle", "table", "figure", "report")}
    assert shown == {"part"}
    both = project.jobs("results/part/index.html", "results/smoke/index.html")
    made = [output for job in both for output in job.outputs]
    assert len(made) == len(set(made))
    assert runs < set(made)


def test_the_slurm_profile_works_as_typed(fresh: Project) -> None:
    done = fresh.run("--profile", "slurm", "-n")
    assert done.returncode == 0, done.stdout
    assert f"train          {expected_jobs('paper-7b')['train']}" in done.stdout


def test_one_cell_on_one_machine_needs_no_flag(fresh: Project) -> None:
    """The default profile is found, with the triggers that keep training from running again."""
    profile = (fresh.folder / "profiles/default/config.v9+.yaml").read_text()
    assert "rerun-triggers: [mtime, params, input]" in profile
    assert "Using workflow specific profile profiles/default" in fresh.run("-n").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config", "study=tyo"], "config/studies/tyo.yaml: no such study; did you mean 'toy'? allowed: "),
        (["results/toy/runs/eap/seed0/run.json"], "did you mean 'eapo"),
        (["results/data/gsm9k/problems.parquet"], "gsm9k is not a data set"),
    ],
)
def test_an_unknown_name_is_one_sentence(fresh: Project, arguments: list[str], sentence: str) -> None:
    """Of the study, in a question with wildcards of a study, in one of shared data; ``tests/study`` has the sentences of the others."""
    done = fresh.run(*arguments)
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert sentence in line
    assert "Traceback" not in done.stdout
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize(
    ("path", "old", "new", "sentence"),
    [
        ("config/studies/toy.yaml", "methods: [grpo,", "methods: [grpoo,", "did you mean 'grpo'?"),
        ("config/models.yaml", "models:", "models: [", "is not valid YAML"),
    ],
)
def test_a_wrong_configuration_runs_nothing(project: Project, path: str, old: str, new: str, sentence: str) -> None:
    """``tests/config`` has what can be wrong in each file."""
    project.replace(path, old, new)
    done = project.run()
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert path in line
    assert sentence in line
    assert not (project.folder / "results").exists()


def test_another_workflow_can_use_it_as_a_module(tmp_path: Path) -> None:
    """With a configuration of its own folder; the study is what the importing workflow says."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "Snakefile").write_text(
        f"module tokencredit:\n    snakefile: {str(ROOT / 'Snakefile')!r}\n    config: {{'study': 'smoke'}}\n\n"
        "use rule * from tokencredit as credit_*\n",
        encoding="utf-8",
    )
    jobs = Project(tmp_path).jobs("results/smoke/index.html")
    assert Counter(job.rule.removeprefix("credit_") for job in jobs) == expected_jobs("smoke")


def test_every_rule_says_what_it_needs() -> None:
    """A log, measured usage, resources, threads, an environment and, for what is computed, the code behind it."""
    for path in sorted(Path(ROOT, "workflow/rules").glob("*.smk")):
        for block in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            for part in ("log:", "benchmark:", "params:", "threads:", "resources:", "conda:", "shell:", "code="):
                assert part in block, f"{path.name}: rule {block.split(':')[0]} has no {part}"
