"""The records of the embedded study that the project ships: whole, of today's configuration, and the ones that docs/results.md is about."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tokencredit import files
from tokencredit.config import load_study
from tokencredit.data.overlap import overlap_report
from tokencredit.tools import archive, bundle
from tokencredit.tools.compare import differences

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results"
BUNDLES = sorted(path.name for path in FOLDER.glob("*.tar.gz"))


@pytest.fixture(scope="module", params=BUNDLES)
def content(request: pytest.FixtureRequest) -> dict:
    """``bundle.json`` of a study's records, each of whose files is held against its checksum."""
    return json.loads(archive.read(FOLDER / request.param)[archive.CONTENT])


def test_they_are_of_the_study_as_it_is_configured(content: dict) -> None:
    here = json.loads(json.dumps(bundle.deciding_config(load_study(ROOT / "config", content["study"]))))
    assert differences(content["config"], here) == {}


def test_the_tables_beside_them_were_made_from_them(content: dict) -> None:
    shown = sorted(FOLDER.glob(f"{content['study']}/*/*.csv"))
    assert shown
    for path in shown:
        assert content["made"][path.relative_to(FOLDER).as_posix()] == files.sha256(path)


def test_the_data_that_several_of_them_hold_are_the_same() -> None:
    """Runs may not be: those of parts of one study may come from different machines, and then only one part can stand in the results."""
    held: dict[str, set[str | None]] = defaultdict(set)
    for name in BUNDLES:
        for path, data in archive.read(FOLDER / name).items():
            if path.startswith("data/"):
                held[path].add(archive.sha256(data))
    assert len(held) > 8
    assert [path for path, digests in held.items() if len(digests) > 1] == []


def test_their_overlap_reports_are_those_of_today_so_that_each_is_rebuilt_beside_a_new_run(tmp_path: Path) -> None:
    held = {path: data for name in BUNDLES for path, data in archive.read(FOLDER / name).items() if "data/" in path}
    for path, data in held.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    reports = sorted(tmp_path.glob("data/overlap/*.json"))
    assert len(reports) >= 3
    for report in reports:
        train, benchmark = (tmp_path / "data" / name for name in report.stem.split("--"))
        assert overlap_report(train, benchmark) == files.read_json(report)


def test_everything_that_is_shown_has_its_records() -> None:
    shown = list(FOLDER.glob("*/*/*.csv"))
    assert len(shown) > 3
    assert sorted({f"{path.parents[1].name}.tar.gz" for path in shown}) == BUNDLES


def test_nothing_that_was_run_is_missing_from_them() -> None:
    assert all("is not there" not in path.read_text(encoding="utf-8") for path in FOLDER.glob("*/*/*.csv"))


def test_every_picture_is_in_the_text() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    pictures = [path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/figures/*.png")]
    assert pictures
    assert all(f"(results/{name})" in text for name in pictures)
