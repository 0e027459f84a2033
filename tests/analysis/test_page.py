"""The page of a study as a parser reads it: complete, self-contained, inert whatever a text says, small, the same when made again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from claimed import OWN, write_claims
from hostile import COMMENT, IMAGE, SCRIPT, make_hostile
from measured_study import make_measured
from test_verdicts import write_targets

from tokencredit import files
from tokencredit.analysis import tables
from tokencredit.analysis.page import costs, exhibits, origins, viewer
from tokencredit.analysis.page.write import write
from tokencredit.analysis.paper import claims, verdicts
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import planned
from tokencredit.study.paths import RunFolder

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "img", "br"}
LOADED = {"src", "href", "srcset", "data", "action", "poster", "background"}


@dataclass
class Parsed(HTMLParser):
    """Elements that were opened, texts by the element that they stand in, and what attributes name."""

    text: str
    opened: list[str] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    handlers: list[str] = field(default_factory=list)
    within: dict[str, list[str]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.unclosed += [tag] if tag not in VOID else []
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.named += [value or "" for name, value in attrs if name in LOADED]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed:
            self.within.setdefault(self.unclosed[-1], []).append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@pytest.fixture(scope="module")
def page(store: Store, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    write(store, path)
    return path


@pytest.fixture(scope="module")
def parsed(page: Path) -> Parsed:
    return Parsed(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hostile(store: Store, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    folder = tmp_path_factory.mktemp("hostile")
    write(make_hostile(store, folder), folder / "index.html")
    return Parsed((folder / "index.html").read_text(encoding="utf-8"))


def test_every_element_closes_every_id_is_one_and_every_anchor_leads_somewhere(parsed: Parsed) -> None:
    assert parsed.unclosed == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    anchors = [name[1:] for name in parsed.named if name.startswith("#")]
    assert len(anchors) > 15
    assert set(anchors) <= set(parsed.ids)


def test_nothing_is_loaded_from_elsewhere(parsed: Parsed) -> None:
    assert all(name.startswith(("#", "data:")) for name in parsed.named)
    assert not re.search(r"url\(|@import", "".join(parsed.within["style"]))
    assert not re.search(r"fetch|XMLHttpRequest|innerHTML|import\(", parsed.within["script"][-1])
    assert not {"iframe", "object", "embed", "base"} & set(parsed.opened)


def test_every_planned_table_and_figure_is_on_it(store: Store, parsed: Parsed) -> None:
    for kind, names in planned(store.study).items():
        assert {f"{kind[:-1]}-{name}" for name in names} <= set(parsed.ids)
    assert parsed.opened.count("img") == len(planned(store.study)["figures"])
    for name in ("summary", "tokens", "audit", "overlap", "mismatch", "provenance", "cost", "deviations"):
        assert name in parsed.ids


def test_what_a_reader_must_know_is_in_words(parsed: Parsed) -> None:
    words = " ".join(text for texts in parsed.within.values() for text in texts)
    for sentence in (
        "INVALID: the loss was not finite",
        "Reconstructions: HAPO",
        "2 of 40",
        "40 of 40",
        "2.0e-06",
        "has changed since",
        "Nothing was planned",
    ):
        assert sentence in words
    assert any(text.split()[:2] == ["of", "arXiv"] and text[0].isspace() for text in parsed.within["p"])


def test_it_is_small_and_the_same_when_made_again(store: Store, page: Path, tmp_path: Path) -> None:
    write(store, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    assert page.stat().st_size < 2_000_000


def test_texts_that_are_markup_stay_texts(parsed: Parsed, hostile: Parsed) -> None:
    """The same elements, attributes and comments as without them, and the texts are there to be read."""
    assert hostile.opened == parsed.opened
    assert hostile.handlers == hostile.comments == []
    assert hostile.within["title"] == [f"Study {SCRIPT}"]
    for text in (SCRIPT, IMAGE):
        assert any(text in found for tag in ("td", "figcaption", "h1") for found in hostile.within[tag])
    assert hostile.within["script"][1:] == parsed.within["script"][1:]


def test_tokens_come_back_as_they_were(hostile: Parsed) -> None:
    data = json.loads(hostile.within["script"][0])
    tokens = {
        token
        for method in data["methods"]
        for view in method["views"]
        for r in view["responses"]
        for token in r["token"]
    }
    assert {SCRIPT.replace(" ", "␣"), COMMENT, IMAGE.replace(" ", "␣"), "⏎"} <= tokens
    assert {"problem": f"What is {SCRIPT}?", "answer": COMMENT} in data["problems"].values()


def test_the_viewer_has_the_same_problems_for_all_methods_where_they_share_them(store: Store) -> None:
    data = viewer.data(store)
    assert [method["title"] for method in data["methods"]][:3] == ["GRPO", "DAPO", "EAPO"]
    views = [[(view["step"], view["problem"]) for view in method["views"]] for method in data["methods"]]
    assert all(view == views[0] for view in views)
    assert [step for step, _ in views[0]] == [1] * viewer.FIRST + [30] * viewer.LAST
    for method in data["methods"]:
        for view in method["views"]:
            assert [response["right"] for response in view["responses"]] == [True, False]


def test_the_viewer_shows_what_was_stored(store: Store) -> None:
    data = viewer.data(store)
    eapo = next(method for method in data["methods"] if method["title"] == "EAPO")
    view = eapo["views"][-1]
    stored = store.tokens(RunFolder.rollouts, "eapo", viewer.COLUMNS)
    stored = stored[(stored["seed"] == 0) & (stored["step"] == 30) & (stored["problem_id"] == view["problem"])]
    wrong = stored[stored["reward"] < 0]
    wrong = wrong[wrong["sample"] == wrong["sample"].min()]
    response = view["responses"][1]
    assert response["length"] == len(wrong)
    assert response["entropy"] == pytest.approx(wrong["entropy"].tolist(), rel=1e-3)
    assert response["advantage"] == pytest.approx(wrong["advantage"].tolist(), rel=1e-3)
    assert response["quadrant"] == wrong["quadrant"].tolist()
    assert response["response_advantage"] == pytest.approx(wrong["group_advantage"].iloc[0], rel=1e-3)


def test_measured_credit_stands_at_the_tokens_of_the_first_step(store: Store, tmp_path: Path) -> None:
    names = {"measured_advantage", "information"}
    assert not any(names & set(r) for m in viewer.data(store)["methods"] for v in m["views"] for r in v["responses"])
    for method in viewer.data(make_measured(store, tmp_path))["methods"]:
        for view in method["views"]:
            for response in view["responses"]:
                assert (view["step"] == 1) == (names <= set(response))
                if view["step"] != 1:
                    continue
                decided, alone = (response["measured_advantage"][start::2] for start in (0, 1))
                assert sum(decided) / len(decided) == pytest.approx(0.2, abs=0.1)
                assert set(alone) == {None}
                assert set(response["information"][1::2]) == {0}


def test_long_responses_are_cut_and_say_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "TOKENS", 600)
    data = viewer.data(store)
    responses = [r for method in data["methods"] for view in method["views"] for r in view["responses"]]
    assert sum(len(response["token"]) for response in responses) <= 600
    assert all(response["length"] > len(response["token"]) == data["longest"] for response in responses)


def test_every_outcome_has_a_colour_and_no_other_word_has() -> None:
    assert list(exhibits.OUTCOMES["verdicts"]) == list(verdicts.VERDICTS)
    assert set(exhibits.OUTCOMES["claims"]) == set(claims.OUTCOMES)


def test_outcomes_come_first_in_words_and_counted(store: Store, made: Path, tmp_path: Path) -> None:
    """Two printed numbers far below and above what was obtained, one that contradicts itself, one of a method that is not trained."""
    shutil.copytree(store.study.config.folder, tmp_path / "config")
    shutil.copytree(store.results, tmp_path / "results")
    write_claims(tmp_path / "config", OWN)
    printed = [("base", 0.0, ""), ("base", 100.0, ""), ("base", 50.0, "a slip"), ("forking", 50.0, "")]
    write_targets(
        tmp_path / "config", [(row, "toy-tier1", "avg", 8, value, 1, 0.5, slip) for row, value, slip in printed]
    )
    judged = Store(load_study(tmp_path / "config", "synthetic"), tmp_path / "results")
    for name in ("verdicts", "claims"):
        tables.make(judged, name, judged.paths.own.joinpath("tables"))
    write(judged, tmp_path / "index.html")
    page = Parsed((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.ids[:3] == ["table-verdicts", "table-claims", "summary"]
    chips = [text for text in page.within["span"] if re.fullmatch(r"\d+ [a-z ]+", text)]
    counted = {"higher": 1, "lower": 1, "not measured": 1, "invalid": 1}
    assert chips[:6] == [f"{counted.get(word, 0)} {word}" for word in verdicts.VERDICTS]
    assert sum(int(text.split()[0]) for text in chips[6 : 6 + len(claims.OUTCOMES)]) == len(OWN)
    assert page.within["span"].count("higher") == 1


def test_what_was_used_is_summed_from_what_is_kept(store: Store, tmp_path: Path) -> None:
    """Of training the seconds of all steps: its last job may have found the run half or wholly done. Memory may not have been measured."""
    shutil.copytree(store.results, tmp_path / "results")
    logs = tmp_path / "results" / "logs"
    for log, lines in (
        ("train/synthetic/eapo/seed0", [(99.0, 1.0), (0.1, "NA")]),
        ("train/synthetic/eapo/seed1", [(20.0, 600.0)]),
        ("score/synthetic/eapo/seed0", [(99.0, 900.0), (2.0, 100.0)]),
        ("score/synthetic/eapo/seed1", [(1.0, "NA")]),
    ):
        used = [{"s": seconds, "max_rss": mb} for seconds, mb in lines]
        files.write_text(logs / f"{log}.usage.jsonl", "".join(json.dumps(line) + "\n" for line in used))
    steps = [
        {"step": 1, "seconds_sample": 3.0, "seconds_update": 4.0, "tokens_per_second": 9.0},
        {"step": 2, "seconds_sample": 5.0},
    ]
    timing = tmp_path / "results/synthetic/runs/eapo/seed0/timing.jsonl"
    files.write_text(timing, "".join(json.dumps(step) + "\n" for step in steps))
    kept = Store(store.study, tmp_path / "results")
    found = {cost.rule: cost for cost in costs.by_rule(kept)}
    train, score = found["train"], found["score"]
    assert (train.jobs, train.logged, train.used, train.used_mb, train.planned) == (18, 1, 12.0, 600.0, None)
    assert (score.logged, score.used, score.used_mb) == (2, 3.0, 100.0)
    runs = {(run.title, run.seed): run.seconds for run in origins.runs(kept)}
    assert (runs["EAPO", 0], runs["EAPO", 1]) == (12.0, None)


def test_a_missing_table_is_named(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.results, tmp_path / "results", ignore=shutil.ignore_patterns("figures", "tables"))
    with pytest.raises(UserError, match=r"tables/.*.csv: no such file"):
        write(Store(store.study, tmp_path / "results"), tmp_path / "index.html")
