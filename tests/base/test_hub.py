"""Released models: found in the local cache, or one sentence that names the configuration key."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.models import tiny_qwen3
from tokencredit.base import hub
from tokencredit.base.hub import resolve
from tokencredit.config import HubModel
from tokencredit.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def model(revision: str = COMMIT) -> HubModel:
    return HubModel(kind="hub", title="X", id="nobody/nothing", revision=revision, parameters=5, prompt="{problem}")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_a_model_that_cannot_be_reached_is_one_sentence_that_names_its_key(cache: Path, monkeypatch) -> None:
    original = hub.snapshot_download
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: original(*args, cache_dir=cache, **kwargs))
    with pytest.raises(
        UserError, match=r"^config/models\.yaml: models\.mine\.id = 'nobody/nothing'.*cannot be reached"
    ) as caught:
        resolve("mine", model())
    assert "\n" not in str(caught.value)


def test_a_model_in_the_cache_is_resolved_to_its_folder_and_commit(cache: Path, monkeypatch) -> None:
    folder = cache / "models--nobody--nothing" / "snapshots" / COMMIT
    tiny_qwen3().save_pretrained(folder)
    original = hub.snapshot_download
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: original(*args, cache_dir=cache, **kwargs))
    manifest = resolve("mine", model())
    assert (manifest["path"], manifest["revision"], manifest["kind"]) == (str(folder), COMMIT, "hub")
    assert manifest == resolve("mine", model())
    (folder / "config.json").write_text("{}", encoding="utf-8")
    assert resolve("mine", model())["sha256"] != manifest["sha256"]


def test_only_the_files_of_a_model_count_and_by_their_content(cache: Path, monkeypatch) -> None:
    """Other programs leave files in the same folder, and a cache made by hand links to files of any name."""
    folder = cache / "models--nobody--nothing" / "snapshots" / COMMIT
    tiny_qwen3().save_pretrained(folder)
    original = hub.snapshot_download
    monkeypatch.setattr(hub, "snapshot_download", lambda *args, **kwargs: original(*args, cache_dir=cache, **kwargs))
    first = resolve("mine", model())["sha256"]
    for name in ("README.md", "pytorch_model.bin", ".gitattributes"):
        (folder / name).write_text("other", encoding="utf-8")
    assert resolve("mine", model())["sha256"] == first
    elsewhere = cache / ("0" * 64)
    (folder / "model.safetensors").replace(elsewhere)
    (folder / "model.safetensors").symlink_to(elsewhere)
    assert resolve("mine", model())["sha256"] == first
    elsewhere.write_bytes(elsewhere.read_bytes() + b"0")
    assert resolve("mine", model())["sha256"] != first
