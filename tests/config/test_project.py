"""The project's own configuration: it loads, it is complete, and it says what the paper says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from tokencredit.config import Config, FileDataset, read_yaml
from tokencredit.config.__main__ import app
from tokencredit.config.parts import is_part
from tokencredit.config.schemas import FILES, classes_of, fill_tables, schema_of
from tokencredit.credit import CONTROLS, METHODS, TokenSignals
from tokencredit.credit.columns import COLUMNS
from tokencredit.files import read_json

ROOT = Path(__file__).parents[2]
CONFIG = Config(ROOT / "config")
PAPER = ["paper-7b", "paper-1.5b", "paper-quadrants"]


def files_of(kind: str) -> list[Path]:
    if kind not in ("study", "part"):
        return [ROOT / f"config/{kind}.yaml"]
    studies = sorted((ROOT / "config/studies").glob("*.yaml"))
    return [path for path in studies if is_part(read_yaml(path)) == (kind == "part")]


@pytest.mark.parametrize("name", CONFIG.study_names)
def test_every_study_loads_and_resolves(name: str) -> None:
    study = CONFIG.study(name)
    for method in study.methods:
        assert set(study.training_config(method)["params"]) == set(METHODS[study.methods[method].credit].defaults)
    for row in study.rows:
        for benchmark in study.benchmarks:
            assert study.evaluation_config(row, benchmark)["benchmark"]["problems"] > 0


def test_the_five_studies_are_there() -> None:
    assert {"smoke", "toy", *PAPER} <= set(CONFIG.study_names)


def test_every_credit_function_can_be_trained_with() -> None:
    assert {method.credit for method in CONFIG.methods.values()} == set(METHODS)


def test_reconstructions_are_marked() -> None:
    for name, method in CONFIG.methods.items():
        assert method.reconstruction == (METHODS[method.credit].status == "reconstruction"), name


def test_the_controls_of_a_method_are_those_of_the_credit_package() -> None:
    choices = schema_of("methods")["$defs"]["Method"]["properties"]["control"]["anyOf"]
    assert next(choice["enum"] for choice in choices if "enum" in choice) == list(CONTROLS)


def test_the_columns_of_the_trainer_are_the_optional_ones_of_the_signals() -> None:
    """All but the verdict, which every batch of the trainer has, asked for or not."""
    optional = {column.name for column in dataclasses.fields(TokenSignals) if column.default is None}
    assert set(COLUMNS) == optional - {"correct"}


def test_the_alpha_sweep_is_table_9() -> None:
    swept = {name: method for name, method in CONFIG.methods.items() if name.startswith("eapo-alpha-")}
    sweep = {name: method.params for name, method in swept.items() if method.control is None}
    assert sorted(params["alpha"] for params in sweep.values()) == [0.1, 0.3, 0.4, 0.5, 1.0]
    assert all(params["phi"] == 2.0 for params in sweep.values())
    assert CONFIG.methods["eapo"].params == {"alpha": 0.2, "phi": 2.0}


# Section 6 of the paper: prompts per step and per update, G, steps, prompt and response limits, updates per step.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("paper-quadrants", (256, 32, 8, 120, 1024, 3072, 8)),
        ("paper-7b", (512, 32, 8, 220, 1024, 3072, 16)),
        ("paper-1.5b", (64, 32, 16, 900, 2048, 24576, 2)),
    ],
)
def test_the_hyperparameters_are_the_papers(name: str, expected: tuple[int, ...]) -> None:
    study = CONFIG.study(name)
    training, sampling = study.training, study.training.sampling
    assert expected == (
        training.prompts_per_step,
        training.prompts_per_update,
        training.group_size,
        training.steps,
        sampling.max_prompt_tokens,
        sampling.max_response_tokens,
        training.updates_per_step,
    )
    assert (training.learning_rate, sampling.temperature, sampling.top_p) == (1e-6, 1.0, 0.95)
    assert training.datasets == ["deepscaler"]
    for method in study.methods:
        base = study.recipe_of(method)
        assert base.aggregation == "token-mean"
        clip_high, kl_coef, dynamic = (0.2, 0.001, False) if method == "grpo" else (0.28, 0.0, True)
        assert (base.clip_low, base.clip_high, base.kl_coef) == (0.2, clip_high, kl_coef)
        assert base.dynamic_sampling == dynamic


@pytest.mark.parametrize("name", PAPER)
def test_the_evaluation_is_the_papers(name: str) -> None:
    study = CONFIG.study(name)
    assert (study.evaluation.sampling.temperature, study.evaluation.sampling.top_p) == (0.6, 0.95)
    problems = {benchmark: use.problems for benchmark, use in study.averaged.items()}
    assert problems == {
        "aime24": 30,
        "aime25": 30,
        "amc": 83,
        "math-500": 500,
        "minerva": 272,
        "olympiadbench": 675,
    }
    if name != "paper-quadrants":  # Figure 5 needs more
        samples = [use.samples for use in study.averaged.values()]
        assert samples == [32, 32, 32, 4, 4, 4]
        assert [(name, use.problems) for name, use in study.beside.items()] == [("gsm8k-test", 1319)]


@pytest.mark.parametrize("name", ["pocket", "pocket-full"])
def test_the_pocket_studies_start_train_and_test_on_problems_of_different_parts(name: str) -> None:
    study = CONFIG.study(name)
    tested = [CONFIG.datasets[use.dataset] for use in study.averaged.values()]
    learned, trained = (CONFIG.datasets[each] for each in (study.start.dataset, *study.training.datasets))
    assert (learned.split, trained.split, {each.split for each in tested}) == ("pretrain", "train", {"test"})
    assert list(study.beside) == ["gsm8k-test"]
    assert study.training.updates_per_step == 2
    assert all("dequantised" in row.title for row in study.rows if row.method is None)


def test_prompts_end_where_the_model_is_to_answer() -> None:
    prompts = {name: model.prompt for name, model in CONFIG.models.items()}
    assert prompts["qwen2.5-math-7b"].endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert (
        "{problem}\nPlease reason step by step, and put your final answer within \\boxed{}."
        in prompts["deepscaler-1.5b-8k"]
    )
    assert prompts["eurus-2-7b-prime"].startswith("<|im_start|>system\n\nWhen tackling")


def test_every_hub_data_set_of_a_paper_study_is_pinned_or_refused() -> None:
    for dataset in CONFIG.datasets.values():
        if isinstance(dataset, FileDataset):
            assert len(dataset.sha256) == 64


@pytest.mark.parametrize("kind", FILES)
def test_the_tracked_schema_is_current(kind: str) -> None:
    tracked = read_json(ROOT / f"workflow/schemas/{kind}.schema.json")
    assert tracked == schema_of(kind), "run: tokencredit docs"


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_the_schema_is_valid_and_accepts_the_projects_files(kind: str) -> None:
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in files_of(kind):
        jsonschema.validate(read_yaml(path), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_refuses_an_unknown_key(kind: str) -> None:
    raw = read_yaml(files_of(kind)[0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**raw, "unknown": 1}, schema_of(kind), cls=jsonschema.Draft202012Validator)


def test_the_schema_refuses_a_method_with_an_unknown_key_or_without_a_base() -> None:
    raw = read_yaml(ROOT / "config/methods.yaml")
    for entry in ({"title": "X", "recipe": "dapo", "credit": "eapo", "parms": {}}, {"title": "X", "credit": "eapo"}):
        spoiled = {**raw, "methods": {**raw["methods"], "x": entry}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoiled, schema_of("methods"), cls=jsonschema.Draft202012Validator)


@pytest.mark.slow
def test_the_readme_names_every_key() -> None:
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert fill_tables(text) == text, "run: tokencredit docs"
    for file in FILES.values():
        for model in classes_of(file):
            for key, field in model.model_fields.items():
                assert f"`{key}`" in text
                assert field.description, key


def test_the_readme_names_every_study() -> None:
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in CONFIG.study_names)


def test_the_readme_counts_the_runs_of_the_paper_s_studies() -> None:
    told = re.findall(
        r"^\| `(paper-[\w.-]+)` \|.*\| (\d+) methods × (\d+) seeds \|$",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    training = {name: CONFIG.study(name).training for name in PAPER}
    assert told == [(name, str(len(each.methods)), str(len(each.seeds))) for name, each in training.items()]


def test_check_prints_a_line_for_each_study_and_what_is_not_pinned() -> None:
    done = CliRunner().invoke(app, ["check", "--config", str(ROOT / "config")])
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split() for line in done.output.splitlines()}
    # 13 methods x 3 seeds + 2 models; (30 + 30 + 83) x 32 + (500 + 272 + 675 + 1319) x 4 responses a row; 220 steps x 16 updates a run
    assert lines["paper-7b"][2:] == ["18", "54", "56", "7", f"{56 * 15640:,}", f"{54 * 220 * 16:,}"]
    assert "not pinned: models.eurus-2-7b-prime.revision = null" in done.output


def test_the_deviations_quote_the_configuration() -> None:
    text = (ROOT / "docs/deviations.md").read_text(encoding="utf-8")
    quoted = re.findall(r"`((?:training|evaluation)\.[\w.]+) = ([^`]+)`", text)
    assert len(quoted) > 8
    for name in PAPER:
        study = CONFIG.study(name).file.model_dump()
        for path, value in quoted:
            found = study
            for key in path.split("."):
                found = found[key]
            assert str(found) == value, f"{name}: {path}"
