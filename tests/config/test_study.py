"""What a study resolves to, and which keys decide what a run computes."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokencredit.config import Config, Study, load_study, read_yaml
from tokencredit.errors import UserError

from .conftest import ABSENT, FILES, Spoil, message_of

STUDY = "studies/one.yaml"


def study_of(spoil: Spoil, *changes: Any) -> Study:
    return load_study(spoil(*changes), "one")


def test_rows_are_the_models_evaluated_only_and_every_run(spoil: Spoil) -> None:
    study = study_of(spoil)
    assert [row.path for row in study.rows] == ["base/seed0", "grpo/seed0", "grpo/seed1", "eapo/seed0", "eapo/seed1"]
    assert study.row("base", 0).method is None
    assert study.row("eapo", 1).method == "eapo"
    assert study.model_names == ["small"]


def test_a_study_limits_samples_and_problems(spoil: Spoil) -> None:
    study = study_of(spoil)
    assert (study.benchmarks["easy"].samples, study.benchmarks["easy"].problems) == (4, 20)
    whole = study_of(spoil, STUDY, "evaluation.benchmarks", [{"benchmark": "easy"}]).benchmarks["easy"]
    assert (whole.samples, whole.problems) == (8, 100)


def test_a_variant_takes_over_what_it_does_not_say(spoil: Spoil) -> None:
    methods = Config(spoil()).methods
    assert methods["eapo-strong"].credit == "eapo"
    assert methods["eapo-strong"].params == {"alpha": 0.5, "phi": 2.0}
    assert methods["eapo"].params == {"alpha": 0.2, "phi": 2.0}


def test_parameters_that_are_not_given_are_the_credit_functions_own(spoil: Spoil) -> None:
    resolved = study_of(spoil, "methods.yaml", "methods.eapo.params", {"alpha": 0.3}).training_config("eapo")
    assert resolved["params"] == {"alpha": 0.3, "phi": 2.0}


MATTERS: list[tuple[str, str, Any]] = [
    (STUDY, "training.datasets", ["toy-more"]),
    (STUDY, "training.steps", 11),
    (STUDY, "training.engine", "vllm"),
    (STUDY, "training.mismatch_kl", 0.02),
    (STUDY, "training.prompts_per_step", 16),
    (STUDY, "training.prompts_per_update", 2),
    (STUDY, "training.group_size", 8),
    (STUDY, "training.sampling.temperature", 0.9),
    (STUDY, "training.sampling.top_p", 0.95),
    (STUDY, "training.sampling.max_prompt_tokens", 16),
    (STUDY, "training.sampling.max_response_tokens", 16),
    (STUDY, "training.learning_rate", 1e-5),
    (STUDY, "training.warmup_steps", 2),
    (STUDY, "training.weight_decay", 0.1),
    (STUDY, "training.adam_beta1", 0.8),
    (STUDY, "training.adam_beta2", 0.95),
    (STUDY, "training.grad_clip", 0.5),
    (STUDY, "training.mixed_precision", "bf16"),
    (STUDY, "training.curve.every", 2),
    (STUDY, "training.curve.samples", 4),
    (STUDY, "training.curve.problems", 5),
    (STUDY, "training.curve.temperature", 0.6),
    (STUDY, "training.curve.top_p", 0.95),
    (STUDY, "training.rollouts.every", 2),
    (STUDY, "training.rollouts.prompts", 1),
    (STUDY, "model", "released"),
    ("methods.yaml", "recipes.plain.clip_low", 0.1),
    ("methods.yaml", "recipes.plain.clip_high", 0.2),
    ("methods.yaml", "recipes.plain.kl_coef", 0.001),
    ("methods.yaml", "recipes.plain.aggregation", "sequence-mean"),
    ("methods.yaml", "recipes.plain.dynamic_sampling", True),
    ("methods.yaml", "recipes.plain.overlong_buffer", 8),
    ("methods.yaml", "recipes.plain.lora_rank", 8),
    ("methods.yaml", "methods.eapo.credit", "eapo-per-update"),
    ("methods.yaml", "methods.eapo.control", "shuffled"),
    ("methods.yaml", "methods.eapo.params.alpha", 0.3),
    ("methods.yaml", "methods.eapo.params.phi", 1.5),
    ("models.yaml", "models.small.prompt", "Q: {problem}"),
    ("models.yaml", "models.small.pretraining.seed", 1),
    ("datasets.yaml", "datasets.toy-train.seed", 2),
    ("datasets.yaml", "datasets.toy-test.rows", 200),
    ("benchmarks.yaml", "benchmarks.easy.dataset", "toy-more"),
    ("datasets.yaml", "datasets.toy-train.grader", "exact"),
    ("benchmarks.yaml", "benchmarks.easy.grader", "choice"),
]
DOES_NOT: list[tuple[str, str, Any]] = [
    (STUDY, "title", "Another"),
    (STUDY, "reference", "eapo"),
    (STUDY, "training.methods", ["grpo", "eapo", "eapo-strong"]),
    (STUDY, "training.seeds", [0, 1, 2]),
    (STUDY, "training.micro_batch_tokens", 2048),
    (STUDY, "training.engine_memory", 0.2),
    (STUDY, "training.engine_separate", True),
    (STUDY, "training.checkpoint_every", 1),
    (STUDY, "evaluation.seed", 7),
    (STUDY, "evaluation.benchmarks.0.samples", 2),
    (STUDY, "evaluation.sampling.temperature", 0.6),
    (STUDY, "evaluation.rows", []),
    (STUDY, "resources.train.mem_mb", 5000),
    ("methods.yaml", "methods.eapo.title", "Another"),
    ("methods.yaml", "methods.grpo.title", "Another"),
    ("methods.yaml", "methods.eapo-strong.params.alpha", 0.9),
    ("models.yaml", "models.small.title", "Another"),
    ("models.yaml", "models.small.privileged_prompt", "{problem} {answer} Answer:"),
    ("models.yaml", "models.released.title", "Another"),
    ("datasets.yaml", "datasets.toy-train.title", "Another"),
    ("datasets.yaml", "datasets.real.rows", 60),
    ("benchmarks.yaml", "benchmarks.easy.title", "Another"),
    ("benchmarks.yaml", "benchmarks.easy.samples", 16),
    ("benchmarks.yaml", "benchmarks.easy.audit", {"mutants_right": 0.1}),
]


@pytest.mark.parametrize("change", MATTERS, ids=[f"{path}" for _, path, _ in MATTERS])
def test_what_decides_a_run_changes_its_configuration(spoil: Spoil, change: tuple[str, str, Any]) -> None:
    before = study_of(spoil).training_config("eapo")
    assert study_of(spoil, *change).training_config("eapo") != before


def test_the_task_decides_a_run_and_its_default_leaves_no_trace(spoil: Spoil) -> None:
    """Runs from before there were several tasks keep their configuration."""
    paths = [("datasets.yaml", f"datasets.{name}.task", "graph-paths") for name in ("toy-train", "toy-test")]
    study = study_of(
        spoil, "models.yaml", "models.small.task", "graph-paths", *(part for path in paths for part in path)
    )
    assert "'task'" not in str(study_of(spoil).training_config("eapo"))
    assert str(study.training_config("eapo")).count("'task': 'graph-paths'") == 3
    assert str(study.evaluation_config(study.rows[0], "easy")).count("'task': 'graph-paths'") == 2


@pytest.mark.parametrize("change", DOES_NOT, ids=[f"{path}" for _, path, _ in DOES_NOT])
def test_what_does_not_decide_a_run_leaves_it_alone(spoil: Spoil, change: tuple[str, str, Any]) -> None:
    before = study_of(spoil).training_config("eapo")
    assert study_of(spoil, *change).training_config("eapo") == before


def test_a_teacher_and_a_told_answer_decide_the_runs_that_use_them(spoil: Spoil) -> None:
    taught = ("methods.yaml", "methods.grpo", {"title": "A", "recipe": "plain", "credit": "iw-opd", "teacher": "other"})
    told = ("methods.yaml", "methods.grpo", {"title": "B", "recipe": "plain", "credit": "dasd", "reconstruction": True})
    small = FILES["models.yaml"]["models"]["small"]
    models = {"small": {**small, "privileged_prompt": "{problem} {answer} Answer:"}, "other": copy.deepcopy(small)}

    def resolved(method: tuple[str, str, Any], *change: Any) -> list[dict[str, Any]]:
        study = study_of(spoil, *method, "models.yaml", "models", copy.deepcopy(models), *change)
        return [study.training_config(method) for method in ("grpo", "eapo")]

    for method, change in (
        (taught, ("models.yaml", "models.other.pretraining.seed", 5)),
        (told, ("models.yaml", "models.small.privileged_prompt", "{answer} {problem} Answer:")),
    ):
        before, after = resolved(method), resolved(method, *change)
        assert before[0] != after[0]
        assert before[1] == after[1]
    assert study_of(spoil, *taught, "models.yaml", "models", models).model_names == ["small", "other"]


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ((STUDY, "evaluation.seed", 7), True),
        ((STUDY, "evaluation.sampling.temperature", 0.6), True),
        ((STUDY, "evaluation.benchmarks.0.samples", 2), True),
        ((STUDY, "evaluation.benchmarks.0.problems", 10), True),
        (("models.yaml", "models.small.prompt", "Q: {problem}"), True),
        (("datasets.yaml", "datasets.toy-test.seed", 9), True),
        ((STUDY, "training.steps", 11), False),
        ((STUDY, "resources.generate.mem_mb", 5000), False),
        (("models.yaml", "models.small.privileged_prompt", "{problem} {answer} Answer:"), False),
        (("benchmarks.yaml", "benchmarks.easy.title", "Another"), False),
        (("benchmarks.yaml", "benchmarks.easy.grader", "choice"), False),
        (("benchmarks.yaml", "benchmarks.easy.audit", {"rewritings_not_right": 0.1}), False),
        (("datasets.yaml", "datasets.toy-test.grader", "exact"), False),
    ],
)
def test_what_decides_generations(spoil: Spoil, change: tuple[str, str, Any], decides: bool) -> None:
    before, after = study_of(spoil), study_of(spoil, *change)
    first, second = (study.evaluation_config(study.row("base", 0), "easy") for study in (before, after))
    assert (first != second) == decides


def test_a_benchmark_has_the_grader_of_its_data_set_unless_it_names_its_own(spoil: Spoil) -> None:
    study = study_of(spoil)
    assert (study.grader, study.grader_of("easy")) == ("math", "math")
    assert study_of(spoil, "datasets.yaml", "datasets.toy-test.grader", "choice").grader_of("easy") == "choice"
    assert study_of(spoil, "benchmarks.yaml", "benchmarks.easy.grader", "exact").grader_of("easy") == "exact"
    assert study_of(spoil, "datasets.yaml", "datasets.toy-train.grader", "exact").grader == "exact"


def test_training_sets_share_a_grader(spoil: Spoil) -> None:
    folder = spoil("datasets.yaml", "datasets.toy-test.grader", "exact")
    path = folder / STUDY
    path.write_text(path.read_text().replace("- toy-train", "- toy-train\n  - toy-test"))
    with pytest.raises(
        UserError, match=r"training\.datasets: are graded in different ways \(toy-train by 'math', toy-test by 'exact'"
    ):
        load_study(folder, "one")


def test_yaml_reads_numbers_and_words_as_they_look(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1e-6\nb: no\nc: 010\nd: -3\ne: true\nf: null\ng: 1.5\nh: 2026-01-01\ni: yes\n")
    expected = {
        "a": 1e-6,
        "b": "no",
        "c": "010",
        "d": -3,
        "e": True,
        "f": None,
        "g": 1.5,
        "h": "2026-01-01",
        "i": "yes",
    }
    assert read_yaml(path) == expected


@pytest.mark.slow
def test_reading_the_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, tokencredit.config\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'transformers', 'sympy', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_resources_of_pretraining_are_asked_for_where_a_model_is_made(spoil: Spoil) -> None:
    missing = message_of(spoil("studies/one.yaml", "resources.pretrain", ABSENT))
    assert missing.endswith(
        "resources.pretrain: this key is missing; the embedded model 'small' is made with what it says."
    )
