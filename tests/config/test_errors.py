"""Whatever is wrong in the configuration is one sentence that names the file, the key, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tokencredit.config import Config, load_study
from tokencredit.credit import METHODS
from tokencredit.errors import UserError

from .conftest import ABSENT, FILES, SAMPLING, STUDY, Spoil, message_of

# file, dotted path, value, and what the sentence must say
WRONG: dict[str, tuple[str, str, Any, list[str]]] = {
    "unknown key at the top": (STUDY, "titel", "x", ["titel", "unknown key", "did you mean 'title'"]),
    "unknown key in training": (STUDY, "training.learning_rat", 1, ["training.learning_rat", "mean 'learning_rate'"]),
    "unknown key in sampling": (STUDY, "training.sampling.top_k", 5, ["training.sampling.top_k", "top_p"]),
    "unknown key in a list": (STUDY, "evaluation.rows.0.models", "x", ["evaluation.rows.0.models", "mean 'model'"]),
    "unknown key of a method": ("methods.yaml", "methods.grpo.credits", "x", ["methods.grpo.credits", "'credit'"]),
    "unknown key of a recipe": ("methods.yaml", "recipes.plain.clip", 0.2, ["recipes.plain.clip", "clip_low"]),
    "unknown key of a model": ("models.yaml", "models.released.revison", "x", ["released.revison", "'revision'"]),
    "unknown key of pretraining": ("models.yaml", "models.small.pretraining.lr", 1, ["small.pretraining.lr", "steps"]),
    "unknown key of a data set": ("datasets.yaml", "datasets.real.hub.rev", "x", ["datasets.real.hub.rev", "split"]),
    "missing key": (STUDY, "training.steps", ABSENT, ["training.steps", "this key is missing"]),
    "missing section": (STUDY, "evaluation", ABSENT, ["evaluation", "this key is missing"]),
    "missing kind": ("models.yaml", "models.small.kind", ABSENT, ["models.small.kind", "this key is missing"]),
    "unknown kind": ("models.yaml", "models.small.kind", "hubb", ["models.small.kind = 'hubb'", "'embedded', 'hub'"]),
    "unknown method": (STUDY, "training.methods.1", "eapoo", ["training.methods = 'eapoo'", "did you mean 'eapo'"]),
    "unknown reference": (STUDY, "reference", "eapo-strong", ["reference = 'eapo-strong'", "allowed: grpo, eapo"]),
    "unknown recipe": ("methods.yaml", "methods.grpo.recipe", "plane", ["methods.grpo.recipe = 'plane'", "'plain'"]),
    "unknown credit": ("methods.yaml", "methods.grpo.credit", "grop", ["methods.grpo.credit = 'grop'", "'grpo'"]),
    "unknown data set": (STUDY, "training.datasets.0", "toy", ["training.datasets = 'toy'", "toy-train"]),
    "unknown data set of a benchmark": (
        "benchmarks.yaml",
        "benchmarks.easy.dataset",
        "toy",
        ["benchmarks.easy.dataset = 'toy'", "toy-test"],
    ),
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
    "no samples by default": ("benchmarks.yaml", "benchmarks.easy.samples", 0, ["easy.samples = 0", "greater than 0"]),
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
    "no methods": (STUDY, "training.methods", [], ["training.methods", "at least 1 item"]),
    "bad name": (STUDY, "evaluation.rows.0.name", "My Base", ["rows.0.name = 'My Base'", "lower-case letters"]),
    "bad name of an entry": ("methods.yaml", "methods.EAPO", {}, ["methods.EAPO", "lower-case letters"]),
    "text for a number": (STUDY, "training.steps", "ten", ["training.steps = 'ten'", "integer"]),
    "true for a number": (STUDY, "training.steps", True, ["training.steps = True", "integer"]),
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
    "unknown task": ("datasets.yaml", "datasets.toy-test.task", "paths", ["task = 'paths'", "'graph-paths'"]),
    "longer than the model": (
        STUDY,
        "training.sampling.max_response_tokens",
        64,
        ["max_response_tokens = 96", "models.small.max_tokens", "64"],
    ),
    "unknown parameter": (
        "methods.yaml",
        "methods.eapo.params",
        {"alpah": 0.2},
        ["methods.eapo.params.alpah", "unknown key", "did you mean 'alpha'"],
    ),
    "parameter of a credit without any": (
        "methods.yaml",
        "methods.grpo.params",
        {"alpha": 0.2},
        ["methods.grpo.params.alpha", "unknown key", "nothing is allowed here"],
    ),
    "text for a parameter": (
        "methods.yaml",
        "methods.eapo.params.alpha",
        "high",
        ["methods.eapo.params.alpha = 'high'", "must be a number"],
    ),
    "parameter out of its bounds": (
        "methods.yaml",
        "methods.eapo.params.phi",
        0.5,
        ["methods.eapo.params.phi = 0.5", "must be greater than 1"],
    ),
    "unknown choice of a parameter": (
        "methods.yaml",
        "methods.grpo",
        {"title": "PHR", "recipe": "plain", "credit": "phr", "params": {"threshold": "group-p33"}},
        ["methods.grpo.params.threshold = 'group-p33'", "must be 'group-mean', 'group-p25'"],
    ),
    "random mask of what masks nothing": (
        "methods.yaml",
        "methods.eapo.control",
        "random-mask",
        ["methods.eapo.control = 'random-mask'", "leaves no token out"],
    ),
    "shuffle of what is the same at all tokens": (
        "methods.yaml",
        "methods.grpo.control",
        "shuffled",
        ["methods.grpo.control = 'shuffled'", "treats all tokens of a response alike"],
    ),
    "matched norm of the group advantage": (
        "methods.yaml",
        "methods.grpo.control",
        "norm-matched",
        ["methods.grpo.control = 'norm-matched'", "norm is matched already"],
    ),
    "true for a parameter": (
        "methods.yaml",
        "methods.eapo.params.alpha",
        True,
        ["methods.eapo.params.alpha = True", "must be a number"],
    ),
    "list for a parameter": (
        "methods.yaml",
        "methods.eapo.params.alpha",
        [0.1],
        ["methods.eapo.params.alpha", "must be a number, a text, true or false"],
    ),
    "circle": ("methods.yaml", "methods.eapo.extends", "eapo-strong", ["extends", "closes a circle"]),
    "circle of one": ("methods.yaml", "methods.grpo.extends", "grpo", ["methods.grpo.extends = 'grpo'", "circle"]),
    "extends nothing": (
        "methods.yaml",
        "methods.eapo-strong.extends",
        "eap",
        ["extends = 'eap'", "did you mean 'eapo'"],
    ),
    "extends a list": ("methods.yaml", "methods.eapo-strong.extends", ["eapo"], ["extends = ['eapo']", "not known"]),
    "refills without dynamic sampling": (
        "methods.yaml",
        "recipes.plain.max_refills",
        3,
        ["recipes.plain", "max_refills = 3"],
    ),
    "overlong buffer": ("methods.yaml", "recipes.plain.overlong_buffer", 64, ["max_response_tokens = 32", "64 tokens"]),
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
    "not marked as a reconstruction": (
        "methods.yaml",
        "methods.eapo.credit",
        "hapo",
        ["methods.eapo.reconstruction = false", "credit 'hapo' is a reconstruction", "must be true"],
    ),
    "marked as a reconstruction": (
        "methods.yaml",
        "methods.eapo.reconstruction",
        True,
        ["methods.eapo.reconstruction = true", "as it was published", "must be false"],
    ),
    "unknown control": (
        "methods.yaml",
        "methods.eapo.control",
        "random",
        ["methods.eapo.control = 'random'", "'norm-matched', 'shuffled' or 'random-mask'"],
    ),
    "no teacher": (
        "methods.yaml",
        "methods.grpo.credit",
        "iw-opd",
        ["methods.grpo.teacher", "credit 'iw-opd' asks for a teacher", "allowed: small, released"],
    ),
    "a teacher of nobody": (
        "methods.yaml",
        "methods.grpo.teacher",
        "released",
        ["methods.grpo.teacher = 'released'", "credit 'grpo' asks for no teacher"],
    ),
    "unknown teacher": (
        "methods.yaml",
        "methods.grpo",
        {"title": "A", "recipe": "plain", "credit": "iw-opd", "teacher": "smal"},
        ["methods.grpo.teacher = 'smal'", "did you mean 'small'"],
    ),
    "an adapter's credit without an adapter": (
        "methods.yaml",
        "methods.grpo.credit",
        "arca",
        ["methods.grpo.recipe = 'plain'", "trains no adapter", "nothing is allowed here"],
    ),
    "negative rank": ("methods.yaml", "recipes.plain.lora_rank", -1, ["recipes.plain.lora_rank = -1", "equal to 0"]),
    "unknown aggregation": (
        "methods.yaml",
        "recipes.plain.aggregation",
        "sum",
        ["recipes.plain.aggregation = 'sum'", "'token-mean', 'sequence-mean' or 'constant'"],
    ),
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
    config = spoil(file, path, value)
    message = message_of(config)
    if "overlong" not in path:  # the recipe is right by itself: the study is where the combination is wrong
        assert message.startswith(f"{config / file}: ")
    assert all(part in message for part in parts), message
    assert "\n" not in message
    assert message.endswith(".")
    assert "pydantic" not in message
    assert "Input should" not in message


DASD = {"title": "DASD", "recipe": "plain", "credit": "dasd", "reconstruction": True}
TAUGHT = {"title": "IW-OPD", "recipe": "plain", "credit": "iw-opd", "teacher": "released"}


def test_a_method_that_tells_the_answer_needs_a_prompt_for_it(spoil: Spoil) -> None:
    config = spoil("methods.yaml", "methods.grpo", DASD)
    message = message_of(config)
    assert message.startswith(f"{config / STUDY}: training.methods = 'grpo'")
    assert message.endswith("models.small.privileged_prompt is missing.")
    told = ("models.yaml", "models.small.privileged_prompt", "{problem} {answer} Answer:")
    assert load_study(spoil("methods.yaml", "methods.grpo", DASD, *told), "one").methods["grpo"].credit == "dasd"


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


def test_a_teacher_shares_the_tokens_and_reads_as_much_as_the_policy_writes(spoil: Spoil) -> None:
    config = spoil("methods.yaml", "methods.grpo", TAUGHT)
    message = message_of(config)
    assert message.startswith(f"{config / STUDY}: training.methods = 'grpo'")
    assert "teacher 'released' does not share the tokens of 'small'" in message
    assert "its teacher is the model that is trained" in message_of(
        spoil("methods.yaml", "methods.grpo", {**TAUGHT, "teacher": "small"})
    )
    other = {**FILES["models.yaml"]["models"]["small"], "task": "graph-paths"}
    changes = ("methods.yaml", "methods.grpo", {**TAUGHT, "teacher": "other"}, "models.yaml", "models.other", other)
    assert "its teacher 'other' is of the task 'graph-paths'" in message_of(spoil(*changes))
    short = {**FILES["models.yaml"]["models"]["small"], "max_tokens": 48}
    changes = ("methods.yaml", "methods.grpo", {**TAUGHT, "teacher": "short"}, "models.yaml", "models.short", short)
    assert "models.short.max_tokens allows at most 48" in message_of(spoil(*changes))


def test_every_group_is_refused_where_dynamic_sampling_drops_them(spoil: Spoil) -> None:
    every = {"title": "NSR", "recipe": "plain", "credit": "nsr", "params": {"every_group": True}}
    assert load_study(spoil("methods.yaml", "methods.grpo", every), "one").methods["grpo"].params["every_group"]
    config = spoil("methods.yaml", "methods.grpo", every, "methods.yaml", "recipes.plain.dynamic_sampling", True)
    assert message_of(config).startswith(
        f"{config / 'methods.yaml'}: methods.grpo.params.every_group = true: has no effect on recipe 'plain'"
    )


def test_whole_numbers_are_the_same_parameters(spoil: Spoil) -> None:
    """phi: 2 is phi: 2.0: nothing trains again for it."""
    whole = load_study(spoil("methods.yaml", "methods.eapo.params.phi", 2), "one").training_config("eapo")
    assert whole == load_study(spoil("methods.yaml", "methods.eapo.params.phi", 2.0), "one").training_config("eapo")
    assert isinstance(whole["params"]["phi"], float)


def test_a_column_that_the_trainer_cannot_fill_is_refused(spoil: Spoil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "grpo", dataclasses.replace(METHODS["grpo"], columns=("noise", "ref_logprobs")))
    config = spoil()
    message = message_of(config)
    assert message.startswith(f"{config / 'methods.yaml'}: methods.grpo.credit = 'grpo'")
    assert "declares the column 'ref_logprobs', which the trainer cannot fill" in message
    assert "did you mean 'ref_logprob'?" in message


def test_an_unknown_study_names_those_that_exist(spoil: Spoil) -> None:
    message = message_of(spoil(), "won")
    assert "won.yaml: no such study; allowed: one" in message


def test_an_unknown_row_and_an_unknown_cell(spoil: Spoil) -> None:
    study = Config(spoil()).study("one")
    with pytest.raises(UserError, match="base/seed0"):
        study.row("base", 3)
    with pytest.raises(UserError, match="base is not a trained method of study one"):
        study.training_config("base")
