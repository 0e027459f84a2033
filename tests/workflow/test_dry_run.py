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
from tokencredit.study.exhibits import planned
from tokencredit.study.jobs import RULES, jobs_of

CONFIG = Config(ROOT / "config")
pytestmark = pytest.mark.workflow


def expected_jobs(name: str) -> dict[str, int]:
    """Jobs by rule, counted from the configuration."""
    study = CONFIG.study(name)
    shown = planned(study)
    tested = {benchmark.dataset for benchmark in study.benchmarks.values()}
    used = {*tested, *study.training.datasets, CONFIG.benchmarks[study.training.curve.benchmark].dataset}
    embedded = sum(isinstance(CONFIG.models[model], EmbeddedModel) for model in study.model_names)
    counts = {
        "prepare": len(used),
        "overlap": len(study.training.datasets) * len(tested),
        "pretrain": embedded,
        "fetch": len(study.model_names) - embedded,
        "audit": len(study.benchmarks),
        "train": len(study.methods) * len(study.training.seeds),
        "oracle": len(study.oracle.policies) * len(study.training.seeds) if study.oracle else 0,
        "generate": len(study.rows) * len(study.benchmarks),
        "grade": len(study.rows) * len(study.benchmarks),
        "score": len(study.rows),
        "table": len(shown["tables"]),
        "figure": len(shown["figures"]),
        "report": 1,
    }
    return {rule: count for rule, count in counts.items() if count}


def test_every_study_has_its_jobs(fresh: Project) -> None:
    """Those of the graph are those of the list, which ``differences`` sees to, and as many as the configuration asks for."""
    done = fresh.python("-m", "tokencredit", "dry-run")
    assert done.returncode == 0, done.stdout
    head, *lines = (line.split() for line in done.stdout.splitlines()[:-1])
    found = {line[0]: dict(zip(head, (word.replace(",", "") for word in line), strict=True)) for line in lines}
    assert list(found) == CONFIG.study_names
    for name, numbers in found.items():
        expected = expected_jobs(name)
        assert {rule: int(numbers[rule]) for rule in RULES if numbers[rule] != "0"} == expected, name
        assert Counter(unit.rule for unit in jobs_of(CONFIG.study(name))) == expected, name


def test_make_dry_run_prints_a_table_and_finds_what_is_not_as_configured(project: Project) -> None:
    for path in project.folder.glob("config/studies/*.yaml"):
        if path.stem != "smoke":
            path.unlink()
    done = project.python("-m", "tokencredit", "dry-run")
    assert done.returncode == 0, done.stdout
    head, line, end = (text.split() for text in done.stdout.splitlines())
    numbers = dict(zip(head, line, strict=True))
    assert {rule: int(numbers[rule]) for rule in expected_jobs("smoke")} == expected_jobs("smoke")
    assert numbers["jobs"] == str(sum(expected_jobs("smoke").values()))
    assert numbers["generations"] == str(5 * 2 * 8 * 4)
    assert end[:2] == ["1", "studies"]

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
    own = imported(project, "--config", "study=paper-7b") - imported(project, "--snakefile", "empty")
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
        (["--config", "study=tyo"], "config/studies/tyo.yaml: no such study; allowed: "),
        (["results/tyo/runs/eapo/seed0/run.json"], "config/studies/tyo.yaml: no such study; allowed: "),
        (["results/toy/runs/eap/seed0/run.json"], "did you mean 'eapo"),
        (["results/toy/runs/eapo/seed7/run.json"], "is not a row of study toy"),
        (["results/toy/runs/base/seed0/run.json"], "it has no training run"),
        (["results/toy/eval/base/seed0/aime24/grades.parquet"], "aime24 is not a benchmark of study toy"),
        (["results/toy/tables/table7.csv"], "table7 is not a table of study toy"),
        (["results/toy-core/runs/eapo/seed0/run.json"], "toy-core is a part of study toy-full"),
        (["results/data/gsm9k/problems.parquet"], "gsm9k is not a data set"),
    ],
)
def test_an_unknown_name_is_one_sentence(fresh: Project, arguments: list[str], sentence: str) -> None:
    done = fresh.run(*arguments)
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert sentence in line
    assert "Traceback" not in done.stdout
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize(
    ("path", "old", "new", "sentence"),
    [
        ("config/studies/toy.yaml", "  steps:", "  stepz:", "unknown key"),
        ("config/studies/toy.yaml", "methods: [grpo,", "methods: [grpoo,", "did you mean 'grpo'?"),
        ("config/methods.yaml", "credit: eapo\n", "credit: eapoo\n", "did you mean 'eapo'?"),
        ("config/benchmarks.yaml", "samples: 16", "samples: 0", "samples = 0"),
        ("config/models.yaml", "models:", "models: [", "is not valid YAML"),
    ],
)
def test_a_wrong_configuration_runs_nothing(project: Project, path: str, old: str, new: str, sentence: str) -> None:
    project.replace(path, old, new)
    done = project.run()
    assert done.returncode != 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert path in line
    assert sentence in line
    assert not (project.folder / "results").exists()


def test_every_rule_says_what_it_needs() -> None:
    """A log, measured usage, resources, threads, an environment and, for what is computed, the code behind it."""
    for path in sorted(Path(ROOT, "workflow/rules").glob("*.smk")):
        for block in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            for part in ("log:", "benchmark:", "params:", "threads:", "resources:", "conda:", "shell:", "code="):
                assert part in block, f"{path.name}: rule {block.split(':')[0]} has no {part}"
