"""Whatever is wrong in methods.yaml, or in how a study uses a method, is one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tokencredit.config import load_study
from tokencredit.credit import METHODS

from .conftest import FILES, STUDY, Spoil, is_one_sentence, message_of

# file, dotted path, value, and what the sentence must say
WRONG: dict[str, tuple[str, str, Any, list[str]]] = {
    "unknown key of a method": ("methods.yaml", "methods.grpo.credits", "x", ["methods.grpo.credits", "'credit'"]),
    "unknown key of a recipe": ("methods.yaml", "recipes.plain.clip", 0.2, ["recipes.plain.clip", "clip_low"]),
    "unknown recipe": ("methods.yaml", "methods.grpo.recipe", "plane", ["methods.grpo.recipe = 'plane'", "'plain'"]),
    "unknown credit": ("methods.yaml", "methods.grpo.credit", "grop", ["methods.grpo.credit = 'grop'", "'grpo'"]),
    "bad name of an entry": ("methods.yaml", "methods.EAPO", {}, ["methods.EAPO", "lower-case letters"]),
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
        ["methods.eapo.params.alpha = true", "must be a number"],
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
        ["methods.eapo.control = 'random'", "'norm-matched', 'shuffled', 'random-mask' or 'random-high-mask'"],
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
    "resets of whole responses": (
        "methods.yaml",
        "methods.grpo.resets",
        "random-step",
        ["methods.grpo.resets: credit 'grpo' learns from whole responses"],
    ),
    "resets at no place": (
        "methods.yaml",
        "methods.grpo",
        {"title": "RRPO", "recipe": "plain", "credit": "rrpo"},
        ["methods.grpo.resets: credit 'rrpo' learns from what follows a restart"],
    ),
    "resets at an unknown place": (
        "methods.yaml",
        "methods.grpo",
        {"title": "RRPO", "recipe": "plain", "credit": "rrpo", "resets": "middle"},
        ["methods.grpo.resets = 'middle'", "'random-step' or 'beginning'"],
    ),
    "negative rank": ("methods.yaml", "recipes.plain.lora_rank", -1, ["recipes.plain.lora_rank = -1", "equal to 0"]),
    "unknown aggregation": (
        "methods.yaml",
        "recipes.plain.aggregation",
        "sum",
        ["recipes.plain.aggregation = 'sum'", "'token-mean', 'sequence-mean' or 'constant'"],
    ),
}


@pytest.mark.parametrize(("file", "path", "value", "parts"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_one_sentence(spoil: Spoil, file: str, path: str, value: Any, parts: list[str]) -> None:
    is_one_sentence(spoil, file, path, value, parts)


DASD = {"title": "DASD", "recipe": "plain", "credit": "dasd", "reconstruction": True}


TAUGHT = {"title": "IW-OPD", "recipe": "plain", "credit": "iw-opd", "teacher": "released"}


def test_a_method_that_tells_the_answer_needs_a_prompt_for_it(spoil: Spoil) -> None:
    config = spoil("methods.yaml", "methods.grpo", DASD)
    message = message_of(config)
    assert message.startswith(f"{config / STUDY}: training.methods = 'grpo'")
    assert message.endswith("models.small.privileged_prompt is missing.")
    told = ("models.yaml", "models.small.privileged_prompt", "{problem} {answer} Answer:")
    assert load_study(spoil("methods.yaml", "methods.grpo", DASD, *told), "one").methods["grpo"].credit == "dasd"


def test_a_method_of_the_update_stage_needs_whole_groups(spoil: Spoil) -> None:
    scattered = (STUDY, "training.keep_groups_together", False)
    forking = {"title": "Forking", "recipe": "plain", "credit": "forking"}
    assert not load_study(spoil(*scattered), "one").training.keep_groups_together
    message = message_of(spoil(*scattered, "methods.yaml", "methods.grpo", forking))
    assert "training.keep_groups_together = false: 'grpo' assigns credit at each update" in message


def test_restarts_are_of_half_a_group_and_go_without_other_ways_to_choose_responses(spoil: Spoil) -> None:
    rrpo = (
        "methods.yaml",
        "methods.grpo",
        {"title": "RRPO", "recipe": "plain", "credit": "rrpo", "resets": "beginning"},
    )
    whole = load_study(spoil(*rrpo, STUDY, "training.group_size", 4), "one")
    assert whole.training_config("grpo")["resets"] == "beginning"
    assert "resets" not in load_study(spoil(), "one").training_config("grpo")
    for size in (2, 5):
        message = message_of(spoil(*rrpo, STUDY, "training.group_size", size))
        assert f"training.group_size = {size}: 'grpo' halves it" in message
    balanced = (*rrpo, STUDY, "training.group_size", 4, STUDY, "training.balance_rewards", 0.25)
    assert "training.balance_rewards = 0.25: 'grpo' restarts failed responses" in message_of(spoil(*balanced))
    dropping = message_of(spoil(*rrpo, "methods.yaml", "recipes.plain.dynamic_sampling", True))
    assert "methods.grpo.resets = 'beginning': recipe 'plain' drops groups" in dropping


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
