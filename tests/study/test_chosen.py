"""Which study is meant by ``--config`` and ``--configfile``; whatever else they say is refused, and no other study runs in its place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import STUDY, Spoil
from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.study.chosen import chosen_study


@pytest.fixture
def config(spoil: Spoil) -> Config:
    """Two studies, ``one`` and ``two``."""
    folder = spoil()
    shutil.copy(folder / STUDY, folder / "studies/two.yaml")
    return Config(folder)


def file_saying(config: Config, text: str) -> Path:
    path = config.folder.parent / "said.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_person_says_goes_before_a_profile_and_before_nothing(config: Config) -> None:
    profile = {"default_study": "one"}
    assert chosen_study(config, {}) == "toy"
    assert chosen_study(config, profile) == "one"
    assert chosen_study(config, {"study": "two"}) == "two"
    assert chosen_study(config, profile, [config.folder / "studies/two.yaml"]) == "two"
    assert chosen_study(config, profile, [file_saying(config, "study: two")]) == "two"
    assert chosen_study(config, {"study": "two"}, [config.folder / "studies/two.yaml"]) == "two"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"stduy": "two"}, ["--config: stduy: unknown key", "did you mean 'study'?"]),
        ({"study": "two", "methods": "eapo"}, ["--config: methods: unknown key", "is a key of a study's file"]),
        ({"study": ["one", "two"]}, ["study = ['one', 'two']: must be the name of one study; allowed: one, two"]),
        ({"study": None}, ["study = nothing: must be the name of one study"]),
        ({"study": "tow"}, ["tow.yaml: no such study", "did you mean 'two'?"]),
        ({"study": "config/studies/two.yaml"}, ["is no name of a study but of a file", "did you mean 'two'?"]),
        ({"default_study": "three"}, ["three.yaml: no such study"]),
    ],
)
def test_anything_else_is_one_sentence(config: Config, said: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        chosen_study(config, said)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_file_that_is_no_study_here_is_refused(config: Config) -> None:
    outside = file_saying(config, (config.folder / STUDY).read_text(encoding="utf-8"))
    for content, words in (
        (None, "is the file of a study and not in "),
        ("stduy: two", "said.yaml: stduy: unknown key; allowed: study"),
        ("- two", "must be a mapping of keys"),
    ):
        if content:
            file_saying(config, content)
        with pytest.raises(UserError, match=words):
            chosen_study(config, {}, [outside])


def test_two_studies_are_refused(config: Config) -> None:
    with pytest.raises(UserError, match=r"several studies are asked for: two \(.*two\.yaml\), one \(--config: study\)"):
        chosen_study(config, {"study": "one"}, [config.folder / "studies/two.yaml"])
    (config.folder / "studies/three.yml").touch()
    with pytest.raises(UserError, match=r"three\.yml: must end in \.yaml to be a study"):
        chosen_study(config, {"study": "three"})
