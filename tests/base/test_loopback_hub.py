"""The real client of the Hub against a small Hub on loopback: what ``resolve`` makes of its commits, its troubles and its absence."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.base.loopback_hub import Hub, serving
from tests.models import tiny_qwen3
from tokencredit.base.hub import resolve
from tokencredit.config import HubModel
from tokencredit.errors import UserError

NAME = "Owner/Tiny-7B"
CHUNK = 1000  # bytes that the client writes at a time


def model(revision: str | None = None, name: str = NAME) -> HubModel:
    return HubModel(kind="hub", title="X", id=name, revision=revision, parameters=5, prompt="{problem}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in two shards, with a file that no model is made of."""
    made = tmp_path_factory.mktemp("released")
    tiny_qwen3(tied=False).float().save_pretrained(made, max_shard_size="20KB")
    (made / "README.md").write_text("Not read.", encoding="utf-8")
    assert len(list(made.glob("*.safetensors"))) > 1
    return made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as started:
        _connect(started.address, str(tmp_path / "cache"), monkeypatch)
        yield started


def _connect(address: str, cache: str, patch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HOME do where they stand before the client is imported."""
    patch.setattr(constants, "ENDPOINT", address)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_CACHE", cache)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    patch.setattr(time, "sleep", lambda seconds: None)


def shards(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.safetensors"))


def test_a_model_is_fetched_at_its_commit_and_nothing_that_it_is_not_made_of(hub: Hub, folder: Path) -> None:
    commit = hub.push(NAME, folder)
    manifest = resolve("mine", model(commit))
    made = Path(manifest["path"])
    assert manifest["revision"] == commit
    assert {path.name for path in made.iterdir()} == {path.name for path in folder.iterdir()} - {"README.md"}
    assert all((made / name).read_bytes() == (folder / name).read_bytes() for name in shards(folder))
    assert not hub.asked("README.md")
    before = len(hub.seen)
    assert resolve("mine", model(commit)) == manifest
    assert not [path for _, path, _ in hub.seen[before:] if "resolve" in path]


def test_a_branch_that_moved_is_another_commit_and_another_digest(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.push(NAME, folder)
    first = resolve("mine", model())
    tiny_qwen3(tied=True).float().save_pretrained(tmp_path / "new")
    moved = hub.push(NAME, tmp_path / "new")
    then = resolve("mine", model())
    assert (then["revision"], resolve("mine", model(first["revision"]))) == (moved, first)
    assert then["sha256"] != first["sha256"]


def test_a_broken_download_goes_on_where_it_broke_off(hub: Hub, folder: Path) -> None:
    commit, large = hub.push(NAME, folder), shards(folder)[0]
    hub.trouble[f"GET {large}"] = ["cut"]
    manifest = resolve("mine", model(commit))
    assert (Path(manifest["path"]) / large).read_bytes() == (folder / large).read_bytes()
    asked = hub.asked(large)
    kept = (folder / large).stat().st_size // 2 // CHUNK * CHUNK  # whole chunks of what came
    assert [sent for sent in asked if sent] == [f"bytes={kept}-"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again(hub: Hub, folder: Path, status: int) -> None:
    commit, large = hub.push(NAME, folder), shards(folder)[0]
    hub.trouble |= {f"GET {large}": [status], f"GET {commit}": [status]}
    manifest = resolve("mine", model(commit))
    assert (Path(manifest["path"]) / large).read_bytes() == (folder / large).read_bytes()


def test_a_file_of_another_size_than_the_hub_says_is_refused(hub: Hub, folder: Path) -> None:
    commit, large = hub.push(NAME, folder), shards(folder)[0]
    hub.sizes[large] = 5
    with pytest.raises(UserError, match=r"^config/models\.yaml: models\.mine\.id = .*: cannot be downloaded: "):
        resolve("mine", model(commit))


def test_a_missing_shard_is_refused_before_anything_is_trained(hub: Hub, folder: Path) -> None:
    commit, lost = hub.push(NAME, folder), shards(folder)[-1]
    del hub.commits[NAME, commit][lost]
    with pytest.raises(UserError, match=rf"model\.safetensors\.index\.json names {lost}, which is not there"):
        resolve("mine", model(commit))


def test_a_gated_model_is_a_sentence_about_its_licence(hub: Hub, folder: Path) -> None:
    commit = hub.push(NAME, folder)
    hub.gated.add(NAME)
    with pytest.raises(UserError, match="access is gated; accept its licence on the Hub and log in with a token"):
        resolve("mine", model(commit))


@pytest.mark.parametrize("wanted", [model("f" * 40), model(name="Owner/Other")])
def test_what_the_hub_does_not_have_is_refused(hub: Hub, folder: Path, wanted: HubModel) -> None:
    hub.push(NAME, folder)
    with pytest.raises(UserError, match="the Hugging Face Hub has no such model or revision, or it is private"):
        resolve("mine", wanted)


def test_once_fetched_a_model_is_there_without_the_hub(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.push(NAME, folder)
    manifest = resolve("mine", model(commit))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(hub.seen)
    assert resolve("mine", model(commit)) == manifest
    assert len(hub.seen) == before


def test_what_was_fetched_in_part_is_not_taken_for_whole_without_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, large = hub.push(NAME, folder), shards(folder)[0]
    hub.trouble[f"GET {large}"] = [404] * 20
    with pytest.raises(UserError):
        resolve("mine", model(commit))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="not in the local cache, and the Hugging Face Hub cannot be reached"):
        resolve("mine", model(commit))


def _fetch(address: str, cache: str, commit: str, answers: multiprocessing.Queue) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _connect(address, cache, patch)
        answers.put(json.dumps(resolve("mine", model(commit))))


def test_two_processes_that_fetch_the_same_model_at_once_have_the_same(hub: Hub, folder: Path, tmp_path: Path) -> None:
    commit = hub.push(NAME, folder)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    both = [
        context.Process(target=_fetch, args=(hub.address, str(tmp_path / "cache"), commit, answers)) for _ in range(2)
    ]
    for process in both:
        process.start()
    one, other = (answers.get(timeout=60) for _ in both)
    for process in both:
        process.join()
    assert one == other
    made = Path(json.loads(one)["path"])
    assert all((made / name).read_bytes() == (folder / name).read_bytes() for name in shards(folder))
