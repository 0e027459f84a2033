"""A synthetic study, complete and deterministic: what the analyses read, without a model; its page in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, started
from hostile import SCRIPT, make_hostile, spoil_notes
from in_page import DESKTOP
from shown_files import make_shown
from synthetic_study import make_study

from tokencredit import files
from tokencredit.analysis.page.write import write
from tokencredit.analysis.store import Store
from tokencredit.study.paths import Paths
from tokencredit.tools.watch_page import write_page
from tokencredit.train.lock import exclusive


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """All methods of the toy study, two seeds, two of three benchmarks overlapping the training set, one invalid run."""
    folder = tmp_path_factory.mktemp("synthetic")
    return Store(make_study(folder), folder / "results")


@pytest.fixture(scope="session")
def made(store: Store) -> Path:
    """The study's folder with all tables and figures."""
    make_shown(store)
    return store.paths.own


@pytest.fixture(scope="session")
def page(store: Store, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write(make_hostile(store, folder), folder / "index.html")
    return folder / "index.html"


@pytest.fixture(scope="session")
def unfinished(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study with one method trained, one at step 12, and one that failed with markup on its lips; none is scored."""
    results = tmp_path_factory.mktemp("runs") / "results"
    shutil.copytree(store.results, results, ignore=shutil.ignore_patterns("tables", "figures", "eval"))
    runs = results / "synthetic/runs"
    for folder in runs.iterdir():
        if folder.name not in ("grpo", "eapo"):
            shutil.rmtree(folder)
    for seed in ("seed0", "seed1"):
        work = runs / "eapo" / seed / "work/abc"
        work.mkdir(parents=True)
        lines = (runs / "eapo" / seed / "metrics.jsonl").read_text().splitlines(keepends=True)
        (work / "metrics.jsonl").write_text("".join(lines[:12]))
        (runs / "eapo" / seed / "run.json").unlink()
    log = Paths(store.study, results).log("train", "synthetic/eapo/seed1")
    files.write_text(log, f"torch.OutOfMemoryError: {SCRIPT}\n")
    spoil_notes(Paths(store.study, results))
    with exclusive(runs / "eapo/seed0"):
        write_page(store.study, results)
    return results / "synthetic/so-far/index.html"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.prefer("light")
    browser.open(page, DESKTOP)
    return browser
