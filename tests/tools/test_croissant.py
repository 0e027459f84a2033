"""The Croissant description of a crate: MLCommons' own reader finds no fault in it, and reads from it what ``tokencredit.load`` reads."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import tokencredit
from tokencredit import files
from tokencredit.__main__ import app
from tokencredit.analysis.tidy import Results
from tokencredit.tools import columns, croissant
from tokencredit.tools.crate import CROISSANT

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "docs/results/toy-core.tar.gz"
SOME = 300  # lines of a long table
WORDS = ["--licence", "CC-BY-4.0", "--published", "2026-11-30", "--url", "https://example.org/toy-core"]


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "crate"
    words = [str(BUNDLE), "--out", str(out), *WORDS, "--config", str(ROOT / "config")]
    CliRunner().invoke(app, ["bundle", "crate", *words], catch_exceptions=False)
    return out


@pytest.fixture(scope="module")
def written(crate: Path) -> dict[str, Any]:
    return files.read_json(crate / CROISSANT)


@pytest.fixture(scope="module")
def dataset(crate: Path) -> Any:
    return pytest.importorskip("mlcroissant").Dataset(jsonld=str(crate / CROISSANT))


@pytest.fixture(scope="module")
def loaded(crate: Path) -> Results:
    return tokencredit.load("toy-core", crate / "config", crate / "results")


def test_it_has_no_fault_and_says_what_the_study_found(dataset: Any, written: dict[str, Any], crate: Path) -> None:
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.description.startswith("Does EAPO end higher than DAPO")
    assert dataset.metadata.url == WORDS[-1]
    assert [each.id for each in dataset.metadata.record_sets][1:] == [table.name for table in croissant.TABLES]
    named = {each["contentUrl"]: each["sha256"] for each in written["distribution"] if "contentUrl" in each}
    assert named == {name: files.sha256(crate / name) for name in named}
    assert {
        f"results/toy-full/{kind}" for kind in ("runs/eapo/seed4/metrics.jsonl", "eval/base/seed0/scores.parquet")
    } <= named.keys()


@pytest.mark.parametrize("name", ["runs", "curves", "scores", "tokens"])
def test_a_reader_of_it_gets_what_is_stored(dataset: Any, loaded: Results, name: str) -> None:
    read = pd.DataFrame(islice(dataset.records(name), SOME)).rename(columns=lambda column: column.partition("/")[2])
    for column in read.columns[read.map(lambda value: isinstance(value, bytes)).any()]:
        read[column] = read[column].str.decode("utf-8")
    (table,) = (table for table in croissant.TABLES if table.name == name)
    key = ["method", "seed", *table.key]
    stored = getattr(loaded, name).set_index(key)
    assert stored.index.is_unique
    assert len(read) == SOME
    own = stored.loc[pd.MultiIndex.from_frame(read[key]), [column for column in read if column in stored]]
    assert set(read.columns) - {*key, *own.columns} <= {"study", "row"}
    pd.testing.assert_frame_equal(
        read.set_index(key)[own.columns].convert_dtypes(), own.convert_dtypes(), check_dtype=False
    )


def test_titles_are_in_it(dataset: Any, loaded: Results) -> None:
    titles = {(each["methods/method"], each["methods/title"]) for each in dataset.records("methods")}
    assert {(row.name, row.title) for row in loaded.study.rows} == titles


def test_every_column_has_its_type_meaning_and_unit(written: dict[str, Any]) -> None:
    described = {each["@id"]: each for each in written["recordSet"]}
    for table in croissant.TABLES:
        for field in described[table.name]["field"]:
            name = field["name"]
            assert name in columns.PLACE | table.columns, f"tools/columns.py: {table.name} lacks {name}"
    assert described["tokens"]["description"].endswith("Some files also have control_noise, old_kl_coef, ref_logprob")
    kinds = {field["name"]: field for field in described["tokens"]["field"]}
    assert (kinds["entropy"]["unitText"], kinds["entropy"]["dataType"]) == ("nats", "sc:Float")
    assert [kinds[name]["dataType"] for name in ("keep", "token", "seed")] == ["sc:Boolean", "sc:Text", "sc:Integer"]


def test_whole_and_other_numbers_in_one_column_are_numbers_and_what_few_files_have_is_apart(tmp_path: Path) -> None:
    lines = ('{"step": 1, "norm": 0, "ref": null, "more": 1}\n', '{"step": 2, "norm": 0.5, "ref": null}\n')
    paths = [tmp_path / f"{number}.jsonl" for number in range(len(lines))]
    for path, line in zip(paths, lines, strict=True):
        path.write_text(line)
    assert croissant.types_of(paths) == ({"step": "sc:Integer", "norm": "sc:Float", "ref": "sc:Float"}, ["more"])
