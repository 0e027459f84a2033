"""Whatever is wrong in the models, data sets, benchmarks, targets and claims of a configuration is one sentence."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tokencredit.config import Config, load_study
from tokencredit.config.__main__ import app
from tokencredit.errors import UserError

from .conftest import ABSENT, STUDY, Spoil, is_one_sentence, message_of

# file, dotted path, value, and what the sentence must say
WRONG: dict[str, tuple[str, str, Any, list[str]]] = {
    "unknown key of a model": ("models.yaml", "models.released.revison", "x", ["released.revison", "'revision'"]),
    "unknown key of pretraining": ("models.yaml", "models.small.pretraining.lr", 1, ["small.pretraining.lr", "steps"]),
    "unknown key of a data set": ("datasets.yaml", "datasets.real.hub.rev", "x", ["datasets.real.hub.rev", "split"]),
    "missing kind": ("models.yaml", "models.small.kind", ABSENT, ["models.small.kind", "this key is missing"]),
    "unknown kind": ("models.yaml", "models.small.kind", "hubb", ["models.small.kind = 'hubb'", "'embedded', 'hub'"]),
    "unknown data set of a benchmark": (
        "benchmarks.yaml",
        "benchmarks.easy.dataset",
        "toy",
        ["benchmarks.easy.dataset = 'toy'", "toy-test"],
    ),
    "no samples by default": ("benchmarks.yaml", "benchmarks.easy.samples", 0, ["easy.samples = 0", "greater than 0"]),
    "unknown task": ("datasets.yaml", "datasets.toy-test.task", "paths", ["task = 'paths'", "'graph-paths'"]),
    "trained on a benchmark under another name": (
        "datasets.yaml",
        "datasets.toy-train.split",
        "test",
        ["'toy-test', which holds the same problems as 'toy-train', one of training.datasets"],
    ),
    "branch for a commit": (
        "models.yaml",
        "models.released.revision",
        "main",
        ["models.released.revision = 'main'", "40 hexadecimal digits"],
    ),
    "unknown grader of a set": (
        "datasets.yaml",
        "datasets.toy-train.grader",
        "maths",
        ["datasets.toy-train.grader = 'maths'", "did you mean 'math'"],
    ),
    "unknown grader of a benchmark": (
        "benchmarks.yaml",
        "benchmarks.easy.grader",
        "letters",
        ["benchmarks.easy.grader = 'letters'", "allowed: math, exact, choice"],
    ),
    "a bound above one": ("benchmarks.yaml", "benchmarks.easy.audit", {"mutants_right": 2}, ["mutants_right = 2"]),
    "bad digest": ("datasets.yaml", "datasets.real.sha256", "abc", ["datasets.real.sha256 = 'abc'", "64 hexadecimal"]),
    "bad id": ("models.yaml", "models.released.id", "released", ["models.released.id = 'released'", "owner/name"]),
    "prompt without the problem": ("models.yaml", "models.released.prompt", "Hi", ["models.released", "{problem}"]),
    "heads do not divide": ("models.yaml", "models.small.heads", 3, ["models.small", "heads = 3", "hidden_size = 32"]),
    "privileged prompt without the answer": (
        "models.yaml",
        "models.released.privileged_prompt",
        "{problem}",
        ["models.released", "{problem} once and {answer} once"],
    ),
    "no such tier": ("datasets.yaml", "datasets.toy-test.tiers", [4], ["toy-test.tiers.0 = 4", "equal to 3"]),
}


@pytest.mark.parametrize(("file", "path", "value", "parts"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_one_sentence(spoil: Spoil, file: str, path: str, value: Any, parts: list[str]) -> None:
    is_one_sentence(spoil, file, path, value, parts)


@pytest.mark.parametrize(
    ("file", "key", "words"),
    [
        (
            "models.yaml",
            "models.small",
            ["training.datasets: ", "'toy-train' is of the task 'word-problems'", "of 'graph-paths' only"],
        ),
        (
            "datasets.yaml",
            "datasets.toy-test",
            ["training.curve.benchmark: ", "'toy-test' is of the task 'graph-paths'"],
        ),
    ],
)
def test_a_model_reads_the_problems_of_its_own_task(spoil: Spoil, file: str, key: str, words: list[str]) -> None:
    config = spoil(file, f"{key}.task", "graph-paths")
    message = message_of(config)
    assert message.startswith(f"{config / STUDY}: ")
    assert all(word in message for word in words), message


PACKAGE = {
    "kind": "package",
    "title": "Packed, dequantised",
    "package": "tiny",
    "version": "1.0",
    "file": "a.gguf",
    "sha256": "0" * 64,
    "parameters": 5,
    "prompt": "{problem}",
}


def test_a_row_of_a_quantised_file_is_called_dequantised(spoil: Spoil) -> None:
    packed = ("models.yaml", "models.packed", PACKAGE, STUDY, "evaluation.rows.0.model", "packed")
    assert load_study(spoil(*packed, STUDY, "evaluation.rows.0.title", "Base, dequantised"), "one").rows
    message = message_of(spoil(*packed))
    assert "evaluation.rows.0.title = 'Base'" in message
    assert "must say 'dequantised'" in message


@pytest.mark.parametrize(
    ("key", "value"), [("package", "a b"), ("version", ">=1"), ("sha256", "abc"), ("title", "Packed")]
)
def test_a_package_is_pinned_and_named(spoil: Spoil, key: str, value: str) -> None:
    message = message_of(spoil("models.yaml", "models.packed", {**PACKAGE, key: value}))
    assert repr(value) in message
    assert "models.packed" in message


TARGETS = {
    "confidence": 0.9,
    "tolerances": dict.fromkeys(("avg", "mean", "pass_at_k", "accuracy", "tokens", "solve_rate", "entropy"), 1.0),
    "sources": {"table1": {"title": "Table 1", "file": "tables", "study": "on"}},
}


def test_printed_numbers_are_of_a_study_that_exists(spoil: Spoil) -> None:
    """Under a name that no study has, their verdicts would be missing without a word."""
    config = spoil()
    (config / "targets.yaml").write_text(yaml.safe_dump(TARGETS))
    with pytest.raises(UserError, match=r"targets\.yaml: sources\.table1\.study = 'on': not known; allowed: one"):
        Config(config).study("one").targets  # noqa: B018


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("targets.yaml", {**TARGETS, "tolernces": {}}, "tolernces: unknown key"),
        (
            "targets.yaml",
            {**TARGETS, "sources": {"t": {"title": "T", "file": "tables", "study": "one"}}},
            "tables.csv: ",
        ),
        ("claims.yaml", {}, "claims.yaml: confidence: this key is missing"),
        ("gpus.yaml", {"gpus": {"h200": {}}}, "gpus.h200.title: this key is missing"),
    ],
)
def test_check_reads_every_file(spoil: Spoil, file: str, content: dict[str, Any], words: str) -> None:
    """Those too that are read only where they are needed."""
    config = spoil()
    checked = ["check", "--config", str(config)]
    assert CliRunner().invoke(app, checked).exit_code == 0
    (config / file).write_text(yaml.safe_dump(content))
    error = CliRunner().invoke(app, checked).exception
    assert isinstance(error, UserError)
    assert words in str(error)
