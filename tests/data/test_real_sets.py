"""Every real data set loads with the counts that are known of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from tests.data.conftest import CONFIG
from tokencredit import files
from tokencredit.config import Config
from tokencredit.data.prepare import prepare
from tokencredit.data.sources import open_source
from tokencredit.data.text import ANSWERS
from tokencredit.errors import UserError

# name: rows of the file, rows after dropping, {reason: count}, repeats, problems with conflicting answers
REAL = {
    "gsm8k-train": (7473, 7473, {}, 0, 0),
    "gsm8k-test": (1319, 1319, {}, 0, 0),
    "math-train": (7500, 7496, {"no answer": 2, "duplicate": 2}, 2, 0),
    "math-test": (5000, 5000, {}, 0, 0),
    "math-500": (500, 500, {}, 0, 0),
    "aime24": (30, 30, {}, 0, 0),
    "aime25": (30, 30, {}, 0, 0),
    "amc83": (83, 83, {}, 0, 0),
    "amc23": (40, 40, {}, 0, 0),
    "minerva": (272, 272, {}, 0, 0),
    "olympiadbench": (675, 675, {}, 0, 0),
    "deepscaler": (39808, 38370, {"conflicting answers": 575, "duplicate": 863}, 1266, 172),
    "dapo-17k": (17917, 16904, {"conflicting answers": 30, "duplicate": 983}, 998, 15),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_set(name: str, real_config: Config, data_root: Path, tmp_path: Path) -> None:
    prepare(real_config, name, tmp_path, data_root)
    manifest = files.read_json(tmp_path / "manifest.json")
    keys = ("rows_read", "rows", "dropped", "duplicates", "conflicting")
    assert tuple(manifest[key] for key in keys) == REAL[name]
    table = files.read_parquet(tmp_path / "problems.parquet")
    assert len(table) == manifest["rows"]
    assert table["answer"].str.strip().ne("").all()
    assert table["problem"].str.strip().ne("").all()


def test_every_file_set_is_expected() -> None:
    listed = yaml.safe_load((CONFIG / "datasets.yaml").read_text())["datasets"]
    assert {name for name, entry in listed.items() if entry["kind"] == "file"} == set(REAL)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["math-train", "math-test", "gsm8k-train", "gsm8k-test"])
def test_conversions_find_the_golds_of_the_files(name: str, real_config: Config, data_root: Path) -> None:
    dataset = real_config.datasets[name]
    find = ANSWERS[dataset.hub.answer_from]
    assert [
        item.problem_id for item in open_source(name, dataset, data_root).rows if find(item.solution) != item.answer
    ] == []


@pytest.mark.real_data
def test_a_real_file_that_is_cut(real_config: Config, data_root: Path, tmp_path: Path) -> None:
    content = (data_root / "math_train.jsonl.gz").read_bytes()
    (tmp_path / "math_train.jsonl.gz").write_bytes(content[:-1000])
    with pytest.raises(UserError, match=r"math_train\.jsonl\.gz: damaged or another version: expected sha256 ff6def43"):
        prepare(real_config, "math-train", tmp_path / "out", tmp_path)
    assert json.loads(gzip.decompress(content).split(b"\n")[0])["id"] == "math/train/0"
