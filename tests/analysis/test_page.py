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
from tokencredit.analysis import style, tables
from tokencredit.analysis.page import comparison, costs, exhibits, origins, toggles, viewer
from tokencredit.analysis.page.write import write
from tokencredit.analysis.paper import claims, verdicts
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import planned
from tokencredit.study.paths import RunFolder

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "img", "br", "input"}
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
    details: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.unclosed += [tag] if tag not in VOID else []
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.named += [value or "" for name, value in attrs if name in LOADED]
        self.details += [value or "" for name, value in attrs if name == "data-detail"]
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
    assert len(anchors) > 6
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
    for name in ("answer", "tokens", "methods", "audit", "overlap", "mismatch", "provenance", "cost", "deviations"):
        assert name in parsed.ids


def test_a_cell_holds_one_number_and_tells_the_rest(store: Store, parsed: Parsed) -> None:
    shown = exhibits.table(store, "table1").wide
    cell = shown.rows[2][1][0]
    assert cell.value in parsed.within["button"]
    assert any(cell.interval in detail and cell.notes[0] in detail for detail in parsed.details)
    assert not any(cell.interval in text for tag in ("td", "small", "button") for text in parsed.within.get(tag, []))


def test_a_chart_has_a_line_for_each_row_and_a_dot_for_each_seed(store: Store) -> None:
    table = exhibits.stored(store, "table1")
    charts = comparison.charts_of_scores(store, table)
    assert [chart.name for chart in charts] == ["mean", *store.study.benchmarks]
    for chart in charts:
        of = table[table["benchmark"] == chart.name].reset_index(drop=True)
        assert [mark.title for mark in chart.marks] == of["title"].tolist()
        places = [(mark.value, of["avg"][place]) for place, mark in enumerate(chart.marks)]
        (left, low), (right, high) = min(places), max(places)
        for place, value in places:  # one axis for all
            assert place == pytest.approx(left + (value - low) / (high - low) * (right - left), abs=0.02)
        for mark in chart.marks:
            ends = (mark.low, mark.high, *mark.dots)
            assert all(0 <= end <= 100 for end in ends)
            assert mark.low < mark.value < mark.high
            if mark.title != "Base model":
                assert sum(mark.dots) / 2 == pytest.approx(mark.value, abs=0.02)
    assert {len(mark.dots) for mark in charts[0].marks} == {0, 2}


def test_every_method_has_a_toggle_and_the_lines_of_tables_know_their_method(
    store: Store, made: Path, page: Path
) -> None:
    names = [name for name in style.lines(store.study) if name in store.study.methods]
    assert re.findall(r'data-toggle="([^"]*)"', page.read_text(encoding="utf-8")) == names
    found = toggles.toggles(store.study, store.study)
    assert len({each.mark for each in found}) == len({style.lines(store.study)[name].marker for name in names}) > 3
    for table in ("table1", "diagnostics"):
        shown = exhibits.table(store, table)
        titles = {row.method: row.title for row in shown.wide.rows}
        assert [name for name in titles if name in names] == names
        assert all(titles[name].startswith(store.study.methods[name].title) for name in names)


@pytest.mark.parametrize("name", ["table1", "diagnostics"])
def test_lines_of_two_methods_with_one_title_are_told_apart(store: Store, made: Path, name: str) -> None:
    records = exhibits.stored(store, name)
    records.loc[records["method"] == "eapo", "title"] = "DAPO"
    found = [row.method for row in tables.wide(name, records, store).rows if row.title == "DAPO"]
    assert found == ["dapo", "eapo"]


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
    assert hostile.within["title"] == [f"Study {SCRIPT}", *parsed.within["title"][1:]]
    assert {SCRIPT, IMAGE, COMMENT} <= set(hostile.within["li"])
    for text in (SCRIPT, IMAGE):
        assert any(text in found for tag in ("td", "figcaption", "h1") for found in hostile.within[tag])
    assert hostile.within["script"][1:] == parsed.within["script"][1:]


def test_tokens_come_back_as_they_were(hostile: Parsed) -> None:
    data = json.loads(hostile.within["script"][0])
    tokens = {token for response in data["responses"] for token in response["token"]}
    assert {SCRIPT.replace(" ", "␣"), COMMENT, IMAGE.replace(" ", "␣"), "⏎"} <= tokens
    assert {"problem": f"What is {SCRIPT}?", "answer": COMMENT} in data["problems"].values()


def test_at_the_first_step_all_methods_are_at_the_same_responses(store: Store) -> None:
    data = viewer.data(store)
    assert data["methods"][:3] == ["GRPO", "DAPO", "EAPO"]
    assert data["steps"] == [1, 10, 20, 30]
    counts = {step: sum(view["step"] == step for view in data["views"]) for step in data["steps"]}
    assert counts == {1: viewer.FIRST, 10: viewer.LATER, 20: viewer.LATER, 30: viewer.LATER}
    for view in data["views"]:
        assert len(view["shown"]) == len(data["methods"])
        for side, right in enumerate((True, False)):
            numbers = [shown[side]["response"] for shown in view["shown"].values()]
            assert all(data["responses"][number]["right"] == right for number in numbers)
            assert len(set(numbers)) == (1 if view["step"] == 1 else len(data["methods"]))


def test_the_viewer_shows_what_was_stored(store: Store) -> None:
    data = viewer.data(store)
    view = data["views"][-1]
    for name, title in (("eapo", "EAPO"), ("phr", "PHR"), ("grpo", "GRPO")):
        stored = store.tokens(RunFolder.rollouts, name, viewer.COLUMNS)
        stored = stored[(stored["seed"] == 0) & (stored["step"] == 30) & (stored["problem_id"] == view["problem"])]
        right = stored[stored["reward"] > 0]
        right = right[right["sample"] == right["sample"].min()]
        shown = view["shown"][data["methods"].index(title)][0]
        response = data["responses"][shown["response"]]
        assert response["length"] == len(right)
        assert response["entropy"] == pytest.approx(right["entropy"].tolist(), rel=1e-3)
        assert response["quadrant"] == right["quadrant"].tolist()
        assert shown["whole"] == pytest.approx(right["group_advantage"].iloc[0], rel=1e-3)
        given = shown["advantage"] if isinstance(shown["advantage"], list) else [shown["advantage"]] * len(right)
        assert given == pytest.approx(right["advantage"].tolist(), rel=1e-3)
        assert isinstance(shown["advantage"], list) == (name == "eapo")
        assert shown.get("kept", [1] * len(right)) == right["keep"].astype(int).tolist()
        assert ("kept" in shown) == (name == "phr")


def test_measured_credit_stands_at_the_tokens_of_the_first_step(store: Store, tmp_path: Path) -> None:
    names = {"measured_advantage", "information"}
    assert not any(names & set(response) for response in viewer.data(store)["responses"])
    data = viewer.data(make_measured(store, tmp_path))
    for view in data["views"]:
        for shown in (shown for of_method in view["shown"].values() for shown in of_method):
            response = data["responses"][shown["response"]]
            assert (view["step"] == 1) == (names <= set(response))
            if view["step"] != 1:
                continue
            decided, alone = (response["measured_advantage"][start::2] for start in (0, 1))
            assert sum(decided) / len(decided) == pytest.approx(0.2, abs=0.1)
            assert set(alone) == {None}
            assert set(response["information"][1::2]) == {0}


def test_of_many_stored_steps_some_are_shown_the_first_and_the_last_among_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "STEPS", 3)
    assert viewer.data(store)["steps"] == [1, 20, 30]


def test_long_responses_are_cut_and_say_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "TOKENS", 900)
    data = viewer.data(store)
    shown = [each for view in data["views"] for of_method in view["shown"].values() for each in of_method]
    assert sum(len(data["responses"][each["response"]]["token"]) for each in shown) <= 900
    assert all(response["length"] > len(response["token"]) == data["longest"] for response in data["responses"])


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
    headings = [name for name in page.ids if name in ("answer", "tokens", "methods") or name.startswith("table-")]
    assert headings[:6] == ["answer", "tokens", "methods", "table-table1", "table-claims", "table-table3"]
    chips = [text for text in page.within["span"] if re.fullmatch(r"\d+ [a-z ]+", text)]
    counted = {"higher": 1, "lower": 1, "not measured": 1, "invalid": 1}
    assert chips[-6:] == [f"{counted.get(word, 0)} {word}" for word in verdicts.VERDICTS]
    assert sum(int(text.split()[0]) for text in chips[:-6]) == len(OWN)
    assert page.within["span"].count("higher") == 1
    listed = {each.name: each for each in exhibits.judged(judged, "claims").entries}
    for name, claim in OWN.items():
        assert claim["statement"] in " ".join(page.within["summary"])
        pairs = sum(len(contrast.get("policies") or contrast["against"]) for contrast in claim["contrasts"])
        assert len(listed[name.upper()].contrasts) == pairs


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


def test_a_study_on_a_model_whose_shape_is_not_written_down_has_costs_without_a_plan(tmp_path: Path) -> None:
    """The page comes after all training: what the configuration does not tell may not end it."""
    shutil.copytree(Path(__file__).parents[2] / "config", tmp_path / "config")
    models = tmp_path / "config/models.yaml"
    described = re.compile(r"(  smollm2-135m-instruct:\n(?:    .*\n)*?)    architecture:.*\n(?:      .*\n)*")
    told, count = described.subn(r"\1", models.read_text())
    assert count == 1
    kept = Store(load_study(tmp_path / "config", "pocket"), tmp_path / "results")
    planned = {cost.rule for cost in costs.by_rule(kept) if cost.planned}
    models.write_text(told)
    kept = Store(load_study(tmp_path / "config", "pocket"), tmp_path / "results")
    found = {cost.rule: cost.planned for cost in costs.by_rule(kept)}
    assert found["train"] is None
    assert set(found) > planned


def test_a_missing_table_is_named(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.results, tmp_path / "results", ignore=shutil.ignore_patterns("figures", "tables"))
    with pytest.raises(UserError, match=r"tables/.*.csv: no such file"):
        write(Store(store.study, tmp_path / "results"), tmp_path / "index.html")
