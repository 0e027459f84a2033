"""What is refused before the first job: an engine that jobs cannot import, an image that is not there, a budget that is exceeded."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workflow.project import Project
from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.study.environments import environment_of
from tokencredit.tools.preflight import check_start

pytestmark = pytest.mark.workflow
WITHOUT_VLLM = pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
RUN = "results/smoke-vllm/runs/eapo/seed0/run.json"


def refused(project: Project, *arguments: str) -> str:
    """The one sentence with which snakemake refuses; nothing has been made, and the next start meets no lock."""
    for _ in range(2):
        done = project.run(*arguments)
        assert done.returncode == 1, done.stdout
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in done.stdout
        assert not (project.folder / "results").exists()
    return line


def on_gpus(project: Project, budget: str) -> None:
    """The smoke study as if its runs asked for a GPU each, with a budget of GPU-hours."""
    study = "config/studies/smoke.yaml"
    project.replace(study, "  train: {mem_mb: 1500", "  train: {gpu: 1, mem_mb: 1500")
    project.append(study, f"  gpu_model: a100-80gb\n  budget_gpu_hours: {budget}\n")


@WITHOUT_VLLM
def test_an_engine_that_is_not_installed_is_refused(fresh: Project) -> None:
    sentence = refused(fresh, "--config", "study=smoke-vllm")
    assert sentence == (
        "error: config/studies/smoke-vllm.yaml: training.engine = 'vllm': vLLM is not in the environment that snakemake runs in; "
        "install it there (docs/environments.md), or add `--profile workflow/profiles/conda`, which takes envs/vllm.yaml."
    )


@WITHOUT_VLLM
def test_what_needs_no_engine_starts(project: Project) -> None:
    project.make("results/smoke-vllm/audit/toy-tier1.json", "--config", "study=smoke-vllm")
    assert not (project.folder / "results/smoke-vllm/runs").exists()


def test_the_environment_of_a_study_that_jobs_would_get_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    config = Config("config")
    assert environment_of("train", config.study("smoke-vllm")) == "vllm"
    assert environment_of("generate", config.study("smoke-vllm")) == "vllm"
    assert environment_of("train", config.study("smoke")) == "train"
    assert environment_of("generate", config.study("smoke")) == "evaluate"
    check_start(config, [RUN], ["conda"])
    check_start(config, ["results/smoke/runs/eapo/seed0/run.json"], [])
    project.replace(
        "config/studies/smoke-vllm.yaml",
        'mixed_precision: "no"',
        "mixed_precision: bf16\n  attention: flash_attention_2",
    )
    with pytest.raises(
        UserError, match=r"training\.attention = 'flash_attention_2': flash-attn is not in envs/vllm\.yaml"
    ):
        check_start(Config("config"), [RUN], ["conda"])
    for elsewhere in ("apptainer", "env-modules"):  # what they hold cannot be told
        check_start(Config("config"), [RUN], [elsewhere])


def test_a_container_starts_no_process_on_another_node(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    project.replace("config/studies/smoke.yaml", "  train: {mem_mb", "  train: {nodes: 2, mem_mb")
    run = "results/smoke/runs/eapo/seed0/run.json"
    check_start(Config("config"), [run], [])
    check_start(Config("config"), ["results/smoke/index.html"], ["apptainer"])
    with pytest.raises(UserError, match=r"smoke\.yaml: resources\.train\.nodes = 2: a container cannot"):
        check_start(Config("config"), [run], ["apptainer"])


def test_each_job_gets_the_container_of_its_environment(project: Project) -> None:
    """A stand-in for apptainer writes down the image and runs the command as it is. Without the images nothing starts."""
    script = project.folder / "bin/apptainer"
    script.parent.mkdir()
    script.write_text(
        "#!/usr/bin/env python3\nimport subprocess, sys\n"
        "if '--version' in sys.argv: sys.exit(print('apptainer version 1.3.0'))\n"
        "(image,) = [word for word in sys.argv if word.endswith('.sif')]\n"
        "open('images', 'a').write(f'{image} {\"--nv\" in sys.argv}\\n')\n"
        "sys.exit(subprocess.run(sys.argv[sys.argv.index(image) + 1 :]).returncode)\n"
    )
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    arguments = ("--profile", "workflow/profiles/apptainer", "results/smoke/audit/toy-tier1.json")
    done = project.run(*arguments, environment={"PATH": path})
    assert done.returncode == 1
    (sentence,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert sentence == (
        "error: envs/data.sif, envs/evaluate.sif: no such file, and jobs that would run need them; "
        "`apptainer build --build-arg name=data envs/data.sif envs/environment.def` makes data.sif."
    )
    assert not (project.folder / "results").exists()
    for name in ("data", "evaluate"):
        (project.folder / f"envs/{name}.sif").touch()
    done = project.run(*arguments, environment={"PATH": path})
    assert done.returncode == 0, done.stdout
    images = (project.folder / "images").read_text().splitlines()
    assert [Path(line.split()[0]).name for line in images] == ["data.sif", "evaluate.sif"]
    assert all(line.endswith(" True") for line in images)


def test_a_budget_refuses_to_start_above_it(project: Project) -> None:
    on_gpus(project, "1e-9")
    sentence = refused(project, "--config", "study=smoke")
    assert sentence.startswith(
        "error: config/studies/smoke.yaml: resources.budget_gpu_hours = 1e-09: what would run takes "
    )
    planned = project.run("plan", "--config", "study=smoke")
    assert planned.returncode == 1
    assert "the budget is 1e-09" in planned.stdout
    assert "resources.budget_gpu_hours = 1e-09" in planned.stdout
    assert project.run("--dry-run", "--config", "study=smoke").returncode == 0


def test_a_budget_counts_what_would_run_and_not_the_rest(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    on_gpus(project, "1e-9")
    check_start(Config("config"), ["results/smoke/audit/toy-tier1.json"], [])
    project.replace("config/studies/smoke.yaml", "1e-9", "100.0")
    runs = [f"results/smoke/runs/{method}/seed0/run.json" for method in ("grpo", "eapo")]
    check_start(Config("config"), runs, [])


def test_a_pretraining_on_gpus_counts_for_its_time_limit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    study = "config/studies/smoke.yaml"
    project.replace(study, "pretrain: {mem_mb: 1500, runtime: 10}", "pretrain: {gpu: 2, mem_mb: 1500, runtime: 30}")
    project.append(study, "  gpu_model: a100-80gb\n  budget_gpu_hours: 0.9\n")
    outputs = ["results/models/embedded-smoke/model.json", "results/smoke/audit/toy-tier1.json"]
    with pytest.raises(UserError, match=r"what would run takes 1\.0ᵃ GPU-hours"):
        check_start(Config("config"), outputs, [])
    project.replace(study, "budget_gpu_hours: 0.9", "budget_gpu_hours: 1.1")
    check_start(Config("config"), outputs, [])


def test_plan_says_every_reason_to_refuse_and_only_of_what_would_run(project: Project) -> None:
    on_gpus(project, "1e-9")
    project.replace("config/studies/smoke.yaml", "generate: {mem_mb: 1500", "generate: {mem_mb: 100")
    planned = project.run("plan", "--config", "study=smoke")
    assert planned.returncode == 1
    (sentence,) = [line for line in planned.stdout.splitlines() if line.startswith("error: ")]
    assert "resources.budget_gpu_hours = 1e-09: what would run takes " in sentence
    # Measuring credit asks for what generating does, and comes before it.
    assert "smoke cannot run as it is configured: oracle " in sentence
    assert sentence.endswith("(1 more)")


@pytest.mark.parametrize("option", [("--json",), ("--results", "elsewhere"), ("--config", "elsewhere")])
def test_plan_refuses_what_snakemake_would_not_be_asked(fresh: Project, option: tuple[str, ...]) -> None:
    done = fresh.python("-m", "tokencredit", "plan", "--study", "smoke", "--remaining", *option)
    assert done.returncode == 2
    assert done.stdout.startswith(f"error: {option[0]}: does not go with --remaining")
