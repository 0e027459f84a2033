"""The page of a study while it runs: what is there is shown as ever, what is missing is named, and nothing is made twice."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Collection
from pathlib import Path

import pytest
from test_page import Parsed

from tokencredit.analysis.page import so_far, story
from tokencredit.analysis.page.write import write
from tokencredit.analysis.store import Store
from tokencredit.config import Row, Study
from tokencredit.config.study_keys import Oracle
from tokencredit.errors import UserError
from tokencredit.study.exhibits import exhibits_of
from tokencredit.study.paths import Paths
from tokencredit.tools import watch_page
from tokencredit.tools.status import State
from tokencredit.tools.watch import Progress
from tokencredit.train.lock import exclusive

pytestmark = pytest.mark.slow
BOTH = (0, 1)
MADE = "tables", "figures", "so-far"
# Drawing takes long: what tests make that do not ask for all.
SOME = {"table1", "diagnostics", "figure1", "figure5", "figure6"}


@pytest.fixture
def results(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The records of the synthetic study, of which a test keeps some."""
    monkeypatch.setattr(so_far, "exhibits_of", lambda study: [each for each in exhibits_of(study) if each.name in SOME])
    shutil.copytree(store.results, tmp_path / "results", ignore=shutil.ignore_patterns(*MADE))
    return tmp_path / "results"


def keep(store: Store, results: Path, trained: Collection[str], scored: Collection[str]) -> None:
    """Delete the runs and the scores of all rows but these, by their paths."""
    own = results / "synthetic"
    for row in store.study.rows:
        if row.path not in trained:
            shutil.rmtree(own / "runs" / row.path, ignore_errors=True)
        if row.path not in scored:
            shutil.rmtree(own / "eval" / row.path, ignore_errors=True)


def under(seeds: Collection[int], *methods: str) -> set[str]:
    return {f"{method}/seed{seed}" for method in methods for seed in seeds}


def written(store: Store, results: Path) -> Parsed:
    watch_page.write_page(store.study, results)
    parsed = Parsed((results / "synthetic/so-far/index.html").read_text(encoding="utf-8"))
    anchors = {name[1:] for name in parsed.named if name.startswith("#")}
    assert anchors <= set(parsed.ids)
    assert parsed.unclosed == []
    assert not (results / "synthetic/index.html").exists()  # which Snakemake makes
    return parsed


def words(parsed: Parsed) -> str:
    return " ".join(" ".join(text for texts in parsed.within.values() for text in texts).split())


def test_of_a_study_that_has_not_begun_the_page_says_so(store: Store, results: Path) -> None:
    shutil.rmtree(results / "synthetic")
    shutil.rmtree(results / "data")
    parsed = written(store, results)
    assert "0 of 18 runs trained, 18 waiting, 0 of 19 models scored, 0 of" in words(parsed)
    assert "Not answered yet: it takes every training seed of EAPO and DAPO, trained and scored" in words(parsed)
    assert {"so-far", "answer", "checks", "cost", "provenance"} <= set(parsed.ids)
    assert not {"tokens", "methods", "figures", "audit", "overlap", "mismatch"} & set(parsed.ids)


def test_of_a_run_at_work_it_shows_how_far_it_is(store: Store, results: Path) -> None:
    """Metrics are all there is; the last line is being written."""
    lines = (results / "synthetic/runs/plr/seed0/metrics.jsonl").read_text().splitlines(keepends=True)
    keep(store, results, [], [])
    run = results / "synthetic/runs/plr/seed0"
    (run / "work/abc").mkdir(parents=True)
    (run / "work/abc/metrics.jsonl").write_text("".join(lines[:12]) + '{"step": 13, "solve_r')
    with exclusive(run):
        parsed = written(store, results)
    how_far = "0 of 18 runs trained, 1 training at step 12 of 30, 17 waiting"
    assert how_far in words(parsed)
    listed = (results / "index.html").read_text(encoding="utf-8")
    assert '<a href="synthetic/so-far/index.html">' in listed
    assert how_far in listed
    assert socket.gethostname() in words(parsed)
    assert f"{100 * json.loads(lines[11])['solve_rate']:.0f} %" in words(parsed)
    assert parsed.opened.count("polyline") == 2  # in the table of runs and among the curves
    assert "plr/seed0" in parsed.within["th"]


def test_runs_that_are_trained_show_their_tokens_before_any_is_scored(
    store: Store, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(so_far, "exhibits_of", exhibits_of)
    keep(store, results, under(BOTH, "grpo", "eapo") | under([0], "dapo"), [])
    parsed = written(store, results)
    assert "5 of 18 runs trained, 13 waiting, 0 of 19 models scored" in words(parsed)
    assert "Training: GRPO, EAPO; training seeds 0, 1." in words(parsed)
    shown = json.loads(parsed.within["script"][0])
    assert shown["methods"] == ["GRPO", "EAPO"]
    assert {"tokens", "mismatch", "table-diagnostics", "figure-figure1", "figure-figure6", "figure-figure8"} <= set(
        parsed.ids
    )
    assert not {"methods", "table-table1", "figure-figure5"} & set(parsed.ids)
    assert re.search(
        r"Table 1: \d+ of \d+ files are missing, the first of them synthetic/runs/dapo/seed1/run.json", words(parsed)
    )


def test_what_is_scored_is_compared_and_the_question_waits(store: Store, results: Path) -> None:
    trained = under(BOTH, "grpo", "eapo", "dapo", "phr")
    keep(store, results, trained, under(BOTH, "grpo", "eapo", "phr") | {"base/seed0", "dapo/seed0"})
    parsed = written(store, results)
    assert "8 of 18 runs trained, 10 waiting, 8 of 19 models scored" in words(parsed)
    assert "Training: GRPO, DAPO, EAPO, PHR; training seeds 0, 1." in words(parsed)
    assert "Scores: Base model, GRPO, EAPO, PHR; training seeds 0, 1." in words(parsed)
    assert "Does EAPO end higher than DAPO" in " ".join(parsed.within["h2"])
    assert "Not answered yet" in words(parsed)
    assert "table-table1" in parsed.ids
    assert any(detail.startswith("EAPO less GRPO: ") for detail in parsed.details)


def test_the_question_is_answered_when_its_runs_are_scored_and_as_ever(store: Store, results: Path) -> None:
    rows = under(BOTH, "grpo", "dapo", "eapo") | {"base/seed0"}
    keep(store, results, rows, rows)
    assert " ".join(story.tell(store, [], [], None).answer.split()) in words(written(store, results))


def test_nothing_is_made_twice_and_what_changed_is_made_again(store: Store, results: Path) -> None:
    keep(store, results, under(BOTH, "grpo", "eapo"), [])
    written(store, results)
    folder = results / "synthetic/so-far"
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.csv")}
    assert len(times) == 4  # the diagnostics as a table and a figure
    written(store, results)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    shutil.copytree(store.results / "synthetic/runs/dapo", results / "synthetic/runs/dapo", dirs_exist_ok=True)
    written(store, results)
    again = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert again == {"diagnostics.csv", "figure6.csv"}
    assert "figure1.csv" in {path.name for path in times}  # of the reference alone


def test_a_broken_record_is_named_and_the_page_before_stays(store: Store, results: Path) -> None:
    keep(store, results, under(BOTH, "grpo", "eapo"), [])
    written(store, results)
    page = results / "synthetic/so-far/index.html"
    before = page.read_bytes()
    metrics = results / "synthetic/runs/eapo/seed1/metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"eapo/seed1/metrics\.jsonl: 29 lines"):
        written(store, results)
    assert page.read_bytes() == before


def test_what_is_attributed_waits_for_the_measurement_of_the_same_tokens(
    store: Store, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both begin when the runs are done, and either may end first."""
    monkeypatch.setattr(so_far, "exhibits_of", lambda study: [e for e in exhibits_of(study) if e.name == "hindsight"])
    oracle = Oracle(policies=["base"], seed=0, continuations=4)
    file = store.study.file.model_copy(update={"oracle": oracle, "attribution": True})
    study = Study(store.study.name, file, store.study.config)
    keep(store, results, under(BOTH, "grpo", "eapo"), [])
    for seed in study.training.seeds:
        for path in Paths(study, results).attribution(seed).tables:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    said = words(written(Store(study, results), results))
    assert "Hindsight and measured credit: " in said
    assert "files are missing, the first of them synthetic/oracle/base/seed0" in said


def test_when_all_is_there_it_is_the_study_s_own_page(store: Store, made: Path, tmp_path: Path) -> None:
    shutil.copytree(store.results, tmp_path / "results")
    own = Store(store.study, tmp_path / "results")
    assert not watch_page.is_finished(store.study, own.results)
    write(own, own.paths.page)
    assert watch_page.is_finished(store.study, own.results)
    watch_page.watch_page("synthetic", store.study.config.folder, own.results, 60.0, once=False)
    assert (own.paths.own / "so-far/index.html").read_bytes() == own.paths.page.read_bytes()
    own.run_folder("eapo", 0).record.unlink()  # as Snakemake does before it trains it anew
    assert not watch_page.is_finished(store.study, own.results)


def test_the_largest_grid_of_runs_is_taken() -> None:
    def grid(*runs: tuple[str, int]) -> tuple[list[str], list[int]]:
        return so_far.grid([Row(name, seed, name, "model", name) for name, seed in runs])

    assert grid() == ([], [])
    assert grid(("a", 0), ("b", 0), ("b", 1)) == (["a", "b"], [0])
    assert grid(("a", 0), ("a", 1), ("a", 2), ("b", 2)) == (["a"], [0, 1, 2])
    assert grid(("a", 0), ("a", 1), ("b", 1), ("b", 2), ("c", 1)) == (["a", "b", "c"], [1])


def test_how_far_training_is_in_words(store: Store) -> None:
    runs = [
        Progress("a", State.DONE, 30),
        Progress("b", State.RUNNING, 4),
        Progress("c", State.RUNNING, 12),
        Progress("d", State.FAILED, 2),
    ]
    assert watch_page.said(store.study, runs) == "1 of 4 runs trained, 2 training at steps 4 to 12 of 30, 1 failed"
