"""Files that cannot be read as configuration at all: one sentence that names the file and the place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tokencredit.config import load_study
from tokencredit.config.reading import allowed

from .conftest import STUDY, Spoil, message_of


def test_a_key_that_stands_twice_is_refused(spoil: Spoil) -> None:
    path = spoil() / STUDY
    path.write_text("title: A\n" + path.read_text())
    assert "'title' of line 1 stands again in line 2" in message_of(path.parents[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("title: [1, 2", "is not valid YAML: line "),
        ("a: b: c", "line 1, column"),
        ("\ttitle: x", "line 1, column"),
        ("- 1\n- 2", "mapping of keys"),
        ("just text", "mapping of keys"),
        ("", "title: this key is missing (5 more wrong in this file)"),
    ],
)
def test_bad_yaml_names_the_place(spoil: Spoil, content: str, said: str) -> None:
    config = spoil()
    (config / STUDY).write_text(content)
    message = message_of(config)
    assert message.startswith(f"{config / STUDY}: ")
    assert said in message
    assert "\n" not in message


def test_text_that_is_not_utf8(spoil: Spoil) -> None:
    config = spoil()
    (config / STUDY).write_bytes(b"title: caf\xe9\n")
    assert message_of(config) == f"{config / STUDY}: is not UTF-8 text (byte 10)."


def test_a_directory_in_place_of_a_file(spoil: Spoil) -> None:
    config = spoil()
    (config / "methods.yaml").unlink()
    (config / "methods.yaml").mkdir()
    assert message_of(config) == f"{config / 'methods.yaml'}: cannot be read: Is a directory."


def test_a_missing_file(spoil: Spoil) -> None:
    config = spoil()
    (config / "models.yaml").unlink()
    assert message_of(config) == f"{config / 'models.yaml'}: no such file."


def test_a_call_outside_of_the_project_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message_of(Path("config")) == (
        f"config/datasets.yaml: no such file, and no folder config in {tmp_path}; call it in the folder of the project."
    )


def test_a_file_that_may_not_be_read(spoil: Spoil, monkeypatch: pytest.MonkeyPatch) -> None:
    config = spoil()
    secret = config / "methods.yaml"
    secret.chmod(0)
    if os.access(secret, os.R_OK):  # root reads everything: refuse in its place
        real = Path.read_bytes

        def read_bytes(self: Path) -> bytes:
            if self == secret:
                raise PermissionError(13, "Permission denied")
            return real(self)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert message_of(config) == f"{secret}: cannot be read: Permission denied."


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_booleans_are_those_of_yaml_1_2(spoil: Spoil, word: str) -> None:
    config = spoil()
    text = (
        (config / STUDY).read_text().replace("  learning_rate:", f"  gradient_checkpointing: {word}\n  learning_rate:")
    )
    (config / STUDY).write_text(text)
    assert load_study(config, "one").training.gradient_checkpointing is True


def test_no_number_is_infinite(spoil: Spoil) -> None:
    config = spoil()
    text = re.sub("learning_rate: .*", "learning_rate: 1e999", (config / STUDY).read_text())
    (config / STUDY).write_text(text)
    assert message_of(config).endswith("training.learning_rate = inf: must be a finite number.")


def test_what_is_probably_meant_stands_first_in_a_long_list() -> None:
    names = [f"method-{number}" for number in range(30)]
    assert allowed("methd-7", names).startswith("did you mean 'method-7'? allowed: method-0, ")
    assert allowed("methd-7", names[:8]).endswith("method-7 (did you mean 'method-7'?)")
    assert allowed("h200", ["h100-80gb", "h200-141gb"]).endswith("(did you mean 'h200-141gb'?)")
    assert "did you mean" not in allowed("", names)
