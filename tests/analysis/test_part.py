"""The analysis of a study that is a part of another reads the runs of its whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from claimed import OWN, decided, score, store_of

from tokencredit.analysis.store import Store
from tokencredit.config import load_study

pytestmark = pytest.mark.slow  # tables over whole synthetic studies
METHODS = ["grpo", "phr", "plr", "nhr", "nlr", "eapo"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    declared = {"c1": OWN["c1"], "c5": OWN["c5"], "own": {"contrasts": [score("eapo", "grpo")]}}
    return store_of(tmp_path_factory.mktemp("part"), METHODS, (0, 2, 3), declared)


def part_of(whole: Store, methods: list[str], seeds: list[int]) -> Store:
    content = {"title": "Part", "part_of": "synthetic", "methods": methods, "seeds": seeds}
    Path(whole.study.config.folder, "studies", "part.yaml").write_text(yaml.safe_dump(content))
    return Store(load_study(whole.study.config.folder, "part"), whole.results)


def test_of_the_same_runs_it_decides_the_same_claims(whole: Store) -> None:
    expected, found = (decided(store)[1] for store in (whole, part_of(whole, METHODS, [0, 2, 3])))
    assert not (found["outcome"] == "not measured").any()
    pd.testing.assert_frame_equal(found, expected)


def test_of_fewer_runs_it_decides_what_these_say(whole: Store) -> None:
    found = decided(part_of(whole, ["grpo", "eapo", "phr"], [0, 2]))[0]["outcome"]
    assert found["own"] != "not measured"
    assert (found[["c1", "c5"]] == "not measured").all()


def test_runs_of_a_part_are_the_wholes(whole: Store) -> None:
    part = part_of(whole, METHODS, [0])
    assert part.run_folder("eapo", 0).record == whole.results / "synthetic/runs/eapo/seed0/run.json"
    assert part.paths.page == whole.results / "part/index.html"
