"""Rows of the Hub: conversions, pins, and what happens without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.base.loopback_hub import serving
from tests.data.conftest import CONFIG, House, record
from tests.released_data import ANSWERS, RELEASED, write_dataset
from tokencredit import files
from tokencredit.config import Config, HubSource
from tokencredit.data.prepare import prepare
from tokencredit.data.sources import hub_rows
from tokencredit.errors import UserError

REVISION = "0123456789abcdef0123456789abcdef01234567"


def hub_source(**more: Any) -> HubSource:
    return HubSource(**{"id": "someone/problems", "split": "train", "revision": REVISION, **more})


@pytest.mark.parametrize(
    ("settings", "rows", "expected"),
    [
        ({}, [{"problem": "P?", "answer": "033"}], ("P?", "33")),
        ({"problem": "question"}, [{"question": "Q?", "answer": 27.0}], ("Q?", "27")),
        (
            {"answer": "solution", "answer_from": "last-boxed"},
            [{"problem": "P?", "solution": r"$\boxed{1}$ or $\boxed{\frac{1}{2}}$"}],
            ("P?", r"\frac{1}{2}"),
        ),
        (
            {"problem": "question", "answer_from": "after-hashes"},
            [{"question": "Q?", "answer": "1000*2=2000\n#### 2,000"}],
            ("Q?", "2000"),
        ),
        (
            {
                "problem": "prompt.0.content",
                "answer": "reward_model.ground_truth",
                "wrapper": "Solve.\n\n{problem}\n\nNow.",
            },
            [{"prompt": [{"content": "Solve.\n\nP?\n\nNow.", "role": "user"}], "reward_model": {"ground_truth": "34"}}],
            ("P?", "34"),
        ),
        ({"answer": "final_answer"}, [{"problem": "P?", "final_answer": ["$69$", "$84$"]}], ("P?", "69, 84")),
    ],
)
def test_hub_rows(settings: dict[str, Any], rows: list[dict[str, Any]], expected: tuple[str, str]) -> None:
    (made,) = hub_rows("set", hub_source(**settings), rows)
    assert (made.problem, made.answer) == expected
    assert (made.problem_id, made.source) == ("set/0", "set")


def test_hub_row_without_its_wrapper() -> None:
    with pytest.raises(
        UserError, match=r"row 1 of data set set is not wrapped as datasets\.set\.hub\.wrapper says: 'P\?'"
    ):
        list(hub_rows("set", hub_source(wrapper="Solve: {problem}"), [{"problem": "P?", "answer": "1"}]))


def test_hub_row_without_its_column() -> None:
    with pytest.raises(UserError, match=r"data set set has no column question; its columns are problem, answer\."):
        list(hub_rows("set", hub_source(problem="question"), [{"problem": "P?", "answer": "1"}]))


def with_hub(house: House, hub: dict[str, Any] | None) -> Config:
    house.pack("practice", [record(number) for number in range(6)], **({} if hub is None else {"hub": hub}))
    return house.config


def test_no_data_root_and_no_hub(house: House) -> None:
    with pytest.raises(UserError) as caught:
        prepare(with_hub(house, None), "practice", house.out, None)
    assert str(caught.value) == (
        "data set practice: TOKENCREDIT_DATA is not set and the data set has no Hub id: "
        "set TOKENCREDIT_DATA to the folder that holds practice.jsonl.gz."
    )


def test_no_data_root_and_no_pinned_revision(house: House) -> None:
    with pytest.raises(UserError) as caught:
        prepare(with_hub(house, {"id": "someone/problems", "split": "train"}), "practice", house.out, None)
    assert str(caught.value) == (
        "data set practice: TOKENCREDIT_DATA is not set and no revision of someone/problems is pinned: set TOKENCREDIT_DATA to the "
        "folder that holds practice.jsonl.gz, or pin datasets.practice.hub.revision in datasets.yaml."
    )


@pytest.mark.slow
def test_offline_hub_is_one_sentence(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of its own: the libraries read the flag when they are imported.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(house.root / "cache"))
    monkeypatch.delenv("TOKENCREDIT_DATA", raising=False)
    with_hub(house, {"id": "someone/problems", "split": "train", "revision": REVISION})
    command = [sys.executable, "-m", "tokencredit.data", "prepare", "--config", str(house.configuration)]
    ran = subprocess.run(
        [*command, "--dataset", "practice", "--out", str(house.out)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1] == (
        f"error: data set practice: someone/problems@{REVISION} cannot be had from the Hub (HF_HUB_OFFLINE is set and it is not in "
        "the cache): set TOKENCREDIT_DATA to the folder that holds practice.jsonl.gz."
    )
    assert not house.out.exists()


@pytest.mark.slow
def test_hub_tables_are_read_one_after_the_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from huggingface_hub import constants

    asked = []

    def load(path: str, config: str, *, split: str, revision: str) -> list[dict[str, Any]]:
        asked.append((path, config, split, revision))
        return [record(10 * len(asked) + number) for number in range(3)]

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    config = with_hub(house, {"id": "someone/problems", "split": "train", "revision": REVISION, "configs": ["a", "b"]})
    prepare(config, "practice", house.out, None)
    assert asked == [("someone/problems", name, "train", REVISION) for name in ("a", "b")]
    manifest = files.read_json(house.out / "manifest.json")
    assert (manifest["origin"], manifest["revision"], manifest["rows"]) == ("hub", REVISION, 6)
    assert (manifest["source"], manifest["file_sha256"]) == (f"someone/problems@{REVISION}", None)

    config = with_hub(house, {"id": "someone/problems", "split": "train", "revision": REVISION, "rows": 4})
    with pytest.raises(UserError, match=f"someone/problems@{REVISION}: has 3 rows; data set practice expects 4 "):
        prepare(config, "practice", house.out, None)


READ_ALL = """
import json, sys
from tokencredit.config import Config
from tokencredit.data.sources import open_source

tables = {}
for name, dataset in Config(sys.argv[1]).datasets.items():
    if hub := getattr(dataset, "hub", None):
        pinned = {"rows": 4 * len(hub.configs or [None]), "revision": hub.revision or "f" * 40}
        here = dataset.model_copy(update={"hub": hub.model_copy(update=pinned)})
        tables[name] = [(row.problem, row.answer) for row in open_source(name, here, None).rows]
print(json.dumps(tables))
"""


@pytest.mark.slow
def test_every_data_set_of_the_hub_is_read_from_the_files_and_columns_that_it_has_there(
    real_config: Config, tmp_path: Path
) -> None:
    """By the real client; of the released files, stand-ins with four problems each."""
    with serving() as hub:
        sources = [dataset.hub for dataset in real_config.datasets.values() if getattr(dataset, "hub", None)]
        for name in RELEASED:
            write_dataset(tmp_path / name, name, 4)
            for revision in {source.revision or "f" * 40 for source in sources if source.id == name}:
                hub.push(f"datasets/{name}", tmp_path / name, commit=revision)
        online = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-c", READ_ALL, str(CONFIG)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | online)
    assert ran.returncode == 0, ran.stderr
    tables = json.loads(ran.stdout)
    assert len(tables) == len(sources)
    for name, rows in tables.items():
        assert len({problem for problem, _ in rows}) >= 4, name
        assert {float(answer) for _, answer in rows} == set(map(float, ANSWERS)), name
