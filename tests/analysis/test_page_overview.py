"""The list of all studies: what each page says of itself, states of those without a page, and several jobs that write it at once."""

from __future__ import annotations

import fcntl
import html
import shutil
import threading
from pathlib import Path

import pytest
import yaml
from synthetic_config import Sizes, write_config
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.analysis.__main__ import app
from tokencredit.analysis.page import overview
from tokencredit.analysis.page.story import tell
from tokencredit.analysis.store import Store

SCRIPT = "</script><script>window.injected = true</script>"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three studies: ``one``, ``two`` and ``broken``, whose method is unknown."""
    folder = tmp_path / "config"
    write_config(folder, ["grpo", "dapo"], (0, 1), Sizes(30, 8, 40, 10, ("toy-tier1", "toy-tier2")))
    study = folder / "studies" / "synthetic.yaml"
    content = yaml.safe_load(study.read_text())
    for name, method in (("one", "grpo"), ("two", "grpo"), ("broken", "nothing")):
        own = content | {"title": f"Study {name} {SCRIPT}", "training": content["training"] | {"methods": [method]}}
        study.with_stem(name).write_text(yaml.safe_dump(own))
    study.unlink()
    return folder


def test_studies_with_results_are_listed_with_their_state(config: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name in ("one", "two", "broken", "data"):
        results.joinpath(name).mkdir(parents=True)
    files.write_json(results / "one" / "runs" / "grpo" / "seed1" / "run.json", {})
    _page(results, "two", "Is it & so?", "Yes: by 2 points.")
    two, broken, one = overview.entries(config, results)
    assert (two.name, two.state, two.asked, two.answer) == ("two", "finished", "Is it & so?", "Yes: by 2 points.")
    assert (one.name, one.state, one.answer) == ("one", "no page yet; 1 of 2 training runs are done", "")
    assert (broken.name, broken.state) == ("broken", "its configuration cannot be read")


def test_a_study_that_runs_is_listed_with_the_page_that_was_written_while_it_ran(config: Path, tmp_path: Path) -> None:
    """Until its own page is there, with what that page says of how far the study is; before studies that have no page at all."""
    results = tmp_path / "results"
    results.joinpath("broken").mkdir(parents=True)
    said = "2026-01-02 03:04: 0 of 2 runs trained, 1 failed."
    text = f'<section><h2 id="so-far">So far</h2><p><strong>{said}</strong></p><strong>More</strong></section>'
    _page(results, "one/so-far", "Is it so?", "Not answered yet.", text)
    running, broken = overview.entries(config, results)
    assert (running.name, running.page, running.finished) == ("one", "one/so-far/index.html", False)
    assert running.state == "not finished; 0 of 2 training runs are done"
    assert (running.said, running.asked, running.answer) == (said, "Is it so?", "Not answered yet.")
    assert (broken.name, broken.page) == ("broken", "")
    listed = overview.write(config, results).read_text()
    assert '<a href="one/so-far/index.html">' in listed
    assert said in listed
    _page(results, "one", "Is it so?", "Yes.")
    listed = overview.write(config, results).read_text()
    assert '<a href="one/index.html">' in listed
    assert "so-far" not in listed
    assert said not in listed


def test_texts_that_are_markup_stay_texts(config: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    _page(results, "one", "Is it so?", "<img src=x onerror=1>")
    text = overview.write(config, results).read_text()
    assert "<script>" not in text
    assert "<img" not in text
    assert "&lt;img src=x onerror=1&gt;" in text
    assert '<a href="one/index.html">' in text
    assert "default-src &#39;none&#39;; img-src data:; style-src" in text


def test_jobs_that_end_together_take_turns(config: Path, tmp_path: Path) -> None:
    """One has the turn; the page that another wrote meanwhile is on the list of the one that waited."""
    results = tmp_path / "results"
    _page(results, "one", "", "")
    with results.joinpath(overview.LOCK).open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        waiting = threading.Thread(target=overview.write, args=(config, results))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert not results.joinpath("index.html").exists()
        _page(results, "two", "", "")
    waiting.join()
    assert '<a href="two/index.html">' in results.joinpath("index.html").read_text()


@pytest.mark.slow
def test_the_page_of_a_study_puts_it_on_the_list(store: Store, made: Path, tmp_path: Path) -> None:
    shutil.copytree(store.results, tmp_path / "results")
    arguments = ["report", "--config", str(store.study.config.folder), "--study", "synthetic", "--results"]
    arguments += [str(tmp_path / "results"), "--out"]
    CliRunner().invoke(app, [*arguments, str(tmp_path / "elsewhere.html")], catch_exceptions=False)
    assert not tmp_path.joinpath("results", "index.html").exists()
    page = tmp_path / "results" / "synthetic" / "index.html"
    CliRunner().invoke(app, [*arguments, str(page)], catch_exceptions=False)
    (entry,) = overview.entries(store.study.config.folder, tmp_path / "results")
    told = tell(store, [], [], None)
    assert (entry.asked, entry.answer) == (told.asked, told.answer)
    assert entry.answer[:60] in tmp_path.joinpath("results", "index.html").read_text()
    closing = CliRunner().invoke(app, ["summary", *arguments[1:-1]], catch_exceptions=False)
    assert closing.output.endswith(f"\n{told.asked}\n{told.answer}\n")


def _page(results: Path, name: str, asked: str, answer: str, so_far: str = "") -> None:
    head = f'<meta name="description" content="{html.escape(answer)}">{so_far}'
    text = f'{head}<h2 id="answer" class="asked">{html.escape(asked)}</h2><h2>More</h2>'
    files.write_text(results / name / "index.html", text)
