"""Whatever is wrong in the file of a study is one sentence that names the file, the key, the value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from tokencredit.config import Config, load_study
from tokencredit.config.__main__ import app
from tokencredit.errors import UserError

from .conftest import ABSENT, FILES, SAMPLING, STUDY, Spoil, is_one_sentence, message_of

# file, dotted path, value, and what the sentence must say
WRONG: dict[str, tuple[str, str, Any, list[str]]] = {
    "unknown key at the top": (STUDY, "titel", "x", ["titel", "unknown key", "did you mean 'title'"]),
    "unknown key in training": (STUDY, "training.learning_rat", 1, ["training.learning_rat", "mean 'learning_rate'"]),
    "unknown key in sampling": (STUDY, "training.sampling.top_k", 5, ["training.sampling.top_k", "top_p"]),
    "unknown key in a list": (STUDY, "evaluation.rows.0.models", "x", ["evaluation.rows.0.models", "mean 'model'"]),
    "missing key": (STUDY, "training.steps", ABSENT, ["training.steps", "this key is missing"]),
    "missing section": (STUDY, "evaluation", ABSENT, ["evaluation", "this key is missing"]),
    "unknown method": (STUDY, "training.methods.1", "eapoo", ["training.methods = 'eapoo'", "did you mean 'eapo'"]),
    "unknown reference": (STUDY, "reference", "eapo-strong", ["reference = 'eapo-strong'", "allowed: grpo, eapo"]),
    "unknown data set": (STUDY, "training.datasets.0", "toy", ["training.datasets = 'toy'", "toy-train"]),
    "unknown model": (STUDY, "model", "smal", ["model = 'smal'", "did you mean 'small'"]),
    "unknown model of a row": (STUDY, "evaluation.rows.0.model", "x", ["evaluation.rows.0.model = 'x'", "released"]),
    "unknown benchmark": (
        STUDY,
        "evaluation.benchmarks.0.benchmark",
        "eas",
        ["benchmarks.0.benchmark = 'eas'", "'easy'"],
    ),
    "unknown curve": (STUDY, "training.curve.benchmark", "eas", ["training.curve.benchmark = 'eas'", "'easy'"]),
    "no samples": (STUDY, "evaluation.benchmarks.0.samples", 0, ["benchmarks.0.samples = 0", "greater than 0"]),
    "too many problems": (STUDY, "evaluation.benchmarks.0.problems", 101, ["problems = 101", "100 problems"]),
    "too many curve problems": (STUDY, "training.curve.problems", 101, ["curve.problems = 101", "100 problems"]),
    "one response per prompt": (STUDY, "training.group_size", 1, ["group_size = 1", "greater than or equal to 2"]),
    "no steps": (STUDY, "training.steps", 0, ["training.steps = 0", "greater than 0"]),
    "updates do not divide": (STUDY, "training.prompts_per_update", 3, ["prompts_per_update = 3", "must divide", "8"]),
    "warm-up beyond the end": (STUDY, "training.warmup_steps", 11, ["warmup_steps = 11", "steps = 10"]),
    "repeated seed": (STUDY, "training.seeds", [0, 1, 0], ["training: seeds: 0 is listed 2 times"]),
    "repeated method": (STUDY, "training.methods", ["grpo", "grpo"], ["training: methods: 'grpo' is listed 2 times"]),
    "repeated benchmark": (
        STUDY,
        "evaluation.benchmarks",
        [{"benchmark": "easy"}, {"benchmark": "easy"}],
        ["evaluation: benchmarks: 'easy' is listed 2 times"],
    ),
    "repeated row": (
        STUDY,
        "evaluation.rows",
        [{"name": "base", "model": "small", "title": "A"}, {"name": "base", "model": "small", "title": "B"}],
        ["evaluation: rows: 'base' is listed 2 times"],
    ),
    "row named as a method": (STUDY, "evaluation.rows.0.name", "grpo", ["rows.0.name = 'grpo'", "trained method"]),
    "no methods": (STUDY, "training.methods", [], ["training.methods: must have at least one entry"]),
    "bad name": (STUDY, "evaluation.rows.0.name", "My Base", ["rows.0.name = 'My Base'", "lower-case letters"]),
    "text for a number": (STUDY, "training.steps", "ten", ["training.steps = 'ten'", "integer"]),
    "true for a number": (STUDY, "training.steps", True, ["training.steps = true: must be an integer"]),
    "fraction for a number": (STUDY, "training.steps", 30.0, ["training.steps = 30.0: must be an integer."]),
    "number with an underscore": (
        STUDY,
        "training.steps",
        "1_000",
        ["steps = '1_000': must be an integer; this is a text"],
    ),
    "yes": (
        STUDY,
        "training.gradient_checkpointing",
        "yes",
        ["gradient_checkpointing = 'yes': must be true or false."],
    ),
    "false for a word": (STUDY, "training.mixed_precision", False, ["mixed_precision = false: must be 'no' or 'bf16'"]),
    "nothing for a mapping": (STUDY, "training", None, ["training = null: must be a mapping of keys."]),
    "the beginning of a name": (STUDY, "training.methods.1", "ea", ["training.methods = 'ea'", "did you mean 'eapo'?"]),
    "list for a mapping": (STUDY, "training", [1], ["training", "mapping of keys"]),
    "number for a list": (STUDY, "training.seeds", 3, ["training.seeds = 3", "list"]),
    "unknown choice": (STUDY, "training.mixed_precision", "fp16", ["mixed_precision = 'fp16'", "'no' or 'bf16'"]),
    "unknown engine": (STUDY, "evaluation.engine", "sglang", ["engine = 'sglang'", "'transformers' or 'vllm'"]),
    "log-probs that vLLM does not have": (
        STUDY,
        "training",
        {**FILES[STUDY]["training"], "engine": "vllm", "sampling": {**SAMPLING, "temperature": 0.7, "top_p": 0.9}},
        ["engine = 'vllm'", "sampling.temperature = 0.7", "sampling.top_p = 0.9", "one of the two must be 1"],
    ),
    "negative seed": (STUDY, "training.seeds", [-1], ["training.seeds.0 = -1", "greater than or equal to 0"]),
    "temperature zero": (STUDY, "evaluation.sampling.temperature", 0, ["temperature = 0", "greater than 0"]),
    "embedded model, real benchmark": (
        STUDY,
        "evaluation.benchmarks.0.benchmark",
        "real",
        ["evaluation.benchmarks.0.benchmark", "'real'", "generated problems only"],
    ),
    "embedded model, real training": (STUDY, "training.datasets", ["real"], ["training.datasets", "generated"]),
    "embedded model, real curve": (
        STUDY,
        "training.curve.benchmark",
        "real",
        ["training.curve.benchmark", "generated"],
    ),
    "trained on a benchmark": (
        STUDY,
        "training.datasets",
        ["toy-train", "toy-test"],
        ["training.curve.benchmark = 'easy': is of the data set 'toy-test', one of training.datasets"],
    ),
    "longer than the model": (
        STUDY,
        "training.sampling.max_response_tokens",
        64,
        ["max_response_tokens = 96", "models.small.max_tokens", "64"],
    ),
}


@pytest.mark.parametrize(("file", "path", "value", "parts"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_one_sentence(spoil: Spoil, file: str, path: str, value: Any, parts: list[str]) -> None:
    is_one_sentence(spoil, file, path, value, parts)


def test_batching_as_it_always_was_is_not_written(spoil: Spoil) -> None:
    """So that results from before there were these keys keep their digests."""
    training = load_study(spoil(STUDY, "training.balance_rewards", 0.25), "one").training
    assert training.model_dump()["balance_rewards"] == 0.25
    plain = training.model_copy(update={"balance_rewards": None}).model_dump()
    assert not {"balance_rewards", "keep_groups_together"} & {*plain}


def test_an_unknown_study_names_those_that_exist(spoil: Spoil) -> None:
    message = message_of(spoil(), "won")
    assert "won.yaml: no such study; allowed: one" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My_Study", "the name of a study's file must be made of lower-case letters"),
        ("toy (1)", "the name of a study's file must be made of lower-case letters"),
        ("models", "results/models is a folder of all studies"),
    ],
)
def test_the_name_of_a_study_s_file_is_one_that_rules_can_read(spoil: Spoil, name: str, words: str) -> None:
    config = spoil()
    (config / f"studies/{name}.yaml").write_bytes((config / STUDY).read_bytes())
    assert f"{name}.yaml: {words}" in message_of(config, name)
    assert CliRunner().invoke(app, ["check", "--config", str(config)]).exit_code != 0


def test_a_hidden_file_is_no_study(spoil: Spoil) -> None:
    """A Mac leaves one beside every file that it copies."""
    config = spoil()
    (config / "studies/._one.yaml").write_bytes(b"\x00\x05\x16")
    assert Config(config).study_names == ["one"]


def test_an_unknown_row_and_an_unknown_cell(spoil: Spoil) -> None:
    study = Config(spoil()).study("one")
    with pytest.raises(UserError, match="base/seed0"):
        study.row("base", 3)
    with pytest.raises(UserError, match="base is not a trained method of study one"):
        study.training_config("base")


def test_a_benchmark_beside_the_others_counts_in_no_mean_and_one_has_to(spoil: Spoil) -> None:
    both = [{"benchmark": "easy", "samples": 4}, {"benchmark": "real", "samples": 4, "beside": True}]
    study = load_study(
        spoil(
            STUDY,
            "model",
            "released",
            STUDY,
            "evaluation.rows.0.model",
            "released",
            STUDY,
            "evaluation.benchmarks",
            both,
        ),
        "one",
    )
    assert (list(study.benchmarks), list(study.averaged), list(study.beside)) == (["easy", "real"], ["easy"], ["real"])
    assert "all of them are `beside`" in message_of(spoil(STUDY, "evaluation.benchmarks.0.beside", True))
