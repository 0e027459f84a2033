"""The page in a real browser, with hostile texts in it: quiet, alone, usable by keyboard, no wider than the window, and legible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_core_python.base import AXE_SCRIPT
from browser import Browser, started
from hostile import IMAGE, SCRIPT, make_hostile
from measured_study import make_measured
from shown_files import make_shown

from tokencredit import files
from tokencredit.analysis.page.write import write
from tokencredit.analysis.store import Store
from tokencredit.study.paths import Paths
from tokencredit.tools.watch_page import write_page
from tokencredit.train.lock import exclusive

pytestmark = pytest.mark.browser

DESKTOP, PHONE = 1280, 390
GROUNDS = ("light", "dark")
TOKENS = "[...document.querySelectorAll('.tokens')].map(list => list.textContent)"
COLOURS = "[...document.querySelectorAll('.tokens .token')].map(token => getComputedStyle(token).backgroundColor)"
# WCAG 2.2: the contrast of the text and the ground of each token, outcome and detail.
CONTRASTS = """(() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((value) => channel(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return [...document.querySelectorAll('.token, .outcome, #tip')].map((token) => {
    const style = getComputedStyle(token);
    const pair = [light(style.color), light(style.backgroundColor)].sort((one, other) => other - one);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
})()"""
# The methods that each panel shows: by the heading of the section, and those of the token viewer.
SEEN = """(() => {
  const found = {};
  const there = (part) => part.getClientRects().length > 0;
  document.querySelectorAll("main [data-method]").forEach((part) => {
    const panel = part.closest("section").getAttribute("aria-labelledby");
    found[panel] = (found[panel] || []).concat(there(part) ? part.dataset.method : []);
  });
  found.cards = [...document.querySelectorAll("#token-responses h3")].map((heading) => heading.textContent);
  found.boxes = [...document.querySelectorAll("#token-methods label")].flatMap((label, index) => (label.hidden ? [] : DATA.names[index]));
  return found;
})()"""
PRESSED = "[...document.querySelectorAll('[data-toggle][aria-pressed=true]')].map((toggle) => toggle.dataset.toggle)"
FAULTS = """axe.run().then((found) => found.violations
  .filter((fault) => ["serious", "critical"].includes(fault.impact))
  .flatMap((fault) => fault.nodes.map((node) => `${fault.id}: ${node.html}`)))"""


@pytest.fixture(scope="module")
def page(store: Store, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write(make_hostile(store, folder), folder / "index.html")
    return folder / "index.html"


@pytest.fixture(scope="module")
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
    with exclusive(runs / "eapo/seed0"):
        write_page(store.study, results)
    return results / "synthetic/so-far/index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.prefer("light")
    browser.open(page, DESKTOP)
    return browser


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_quiet_and_alone_and_fits(browser: Browser, page: Path, width: int, ground: str) -> None:
    browser.prefer(ground)
    browser.open(page, width)
    assert browser.evaluate("document.querySelectorAll('.tokens').length") == 3
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate("document.scrollingElement.scrollWidth") <= width  # innerWidth would grow with it
    for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert browser.reported(event) == []
    asked = {event["request"]["url"] for event in browser.reported("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}


def test_a_script_in_a_response_does_not_run(opened: Browser) -> None:
    steps = opened.evaluate("DATA.steps.length")
    for step in range(steps):
        opened.evaluate(_set("token-step", step, "input"))
        for problem in opened.evaluate("[...document.getElementById('token-problem').options].map(each => each.value)"):
            opened.evaluate(_set("token-problem", problem))
            assert any(SCRIPT.replace(" ", "␣") in text for text in opened.evaluate(TOKENS))
            assert opened.evaluate("window.injected") is None
    assert steps == 4
    assert opened.evaluate("document.querySelectorAll('.tokens img, .tokens script').length") == 0


def test_a_script_that_would_get_in_is_not_allowed_to_run(opened: Browser) -> None:
    """The content security policy, should escaping ever fail."""
    opened.evaluate(
        "(() => { const made = document.createElement('script'); made.textContent = 'window.injected = true';"
        " document.body.append(made); })()"
    )
    assert opened.evaluate("window.injected") is None


@pytest.mark.parametrize(
    ("name", "key", "seen"),
    [
        ("step", "ArrowRight", TOKENS),
        ("problem", "ArrowDown", TOKENS),
        ("side", "ArrowDown", TOKENS),
        ("colour", "ArrowDown", COLOURS),
    ],
)
def test_each_choice_works_by_keyboard(opened: Browser, name: str, key: str, seen: str) -> None:
    opened.evaluate(f"document.getElementById('token-{name}').focus()")
    before = opened.evaluate(seen)
    opened.press(key)
    assert opened.evaluate(seen) != before


def test_the_slider_goes_through_the_stored_steps(opened: Browser) -> None:
    said = (
        "[document.getElementById('token-step-text').textContent, document.getElementById('token-step').ariaValueText"
    )
    said += " || document.getElementById('token-step').getAttribute('aria-valuetext')]"
    assert opened.evaluate(said) == ["1", "step 1"]
    opened.evaluate("document.getElementById('token-step').focus()")
    opened.press("End")
    assert opened.evaluate(said) == ["30", "step 30"]
    assert opened.evaluate("document.getElementById('token-problem').options.length") == 2


def test_methods_are_side_by_side_on_one_response(opened: Browser) -> None:
    headings = "[...document.querySelectorAll('#token-responses h3')].map(each => each.textContent)"
    assert opened.evaluate(headings) == ["DAPO", "EAPO", "PHR"]
    first, *others = opened.evaluate(TOKENS)
    assert set(others) == {first}
    opened.evaluate("document.querySelectorAll('.tokens')[1].querySelectorAll('.token')[2].focus()")
    assert opened.evaluate("document.querySelectorAll('.token.same').length") == 3
    said = opened.evaluate("document.getElementById('token-detail').textContent")
    assert all(f"{name} " in said for name in ("DAPO", "EAPO", "PHR"))
    opened.evaluate("document.querySelectorAll('#token-methods input')[0].click()")
    assert opened.evaluate(headings) == ["GRPO", "DAPO", "EAPO", "PHR"]


def test_the_mask_is_the_stored_decision(opened: Browser) -> None:
    opened.evaluate(_set("token-colour", "'mask'"))
    shown = opened.evaluate("DATA.views[0].shown[DATA.methods.findIndex(title => title.startsWith('PHR'))][0].kept")
    drawn = "[...document.querySelectorAll('.card:nth-child(3) .tokens .token')].map(each => Number(each.classList.contains('mask-kept')))"
    assert opened.evaluate(drawn) == shown
    assert 0 < sum(shown) < len(shown)


def test_tokens_are_read_one_by_one_with_the_arrow_keys(opened: Browser) -> None:
    opened.evaluate("document.querySelector('.tokens .token').focus()")
    first = opened.evaluate("document.getElementById('token-detail').textContent")
    assert "token 1 of" in first
    assert "nats" in first
    opened.press("ArrowRight")
    assert "token 2 of" in opened.evaluate("document.getElementById('token-detail').textContent")
    opened.press("End")
    assert opened.evaluate("document.activeElement === document.querySelector('.tokens .token:last-of-type')")
    assert opened.evaluate("document.querySelectorAll('.tokens [tabindex=\"0\"]').length") == 3


def test_a_number_tells_its_details_by_focus_pointer_and_tap(opened: Browser) -> None:
    number = "document.querySelector('#methods ~ .scroll .value')"
    opened.evaluate(f"{number}.focus()")
    tip = "document.getElementById('tip')"
    assert opened.evaluate(f"{tip}.hidden") is False
    assert opened.evaluate(f"{tip}.textContent") == opened.evaluate(f"{number}.dataset.detail")
    assert opened.evaluate(f"{number}.getAttribute('aria-describedby')") == "tip"
    opened.press("Escape")
    assert opened.evaluate(f"{tip}.hidden") is True
    for event in ("mouseenter", "click"):
        opened.evaluate(f"{number}.dispatchEvent(new Event('{event}'))")
        assert opened.evaluate(f"{tip}.hidden") is False
        opened.press("Escape")


def test_a_table_is_sorted_by_a_column_and_back(opened: Browser) -> None:
    cells = "[...document.querySelectorAll('#methods ~ .scroll tbody tr')].map(row => row.cells[{}].textContent.trim())"
    press = "document.querySelectorAll('#methods ~ .scroll thead tr:last-child button')[{}].click()"
    names, texts = opened.evaluate(cells.format(0)), opened.evaluate(cells.format(1))
    values = {name: float(text.split("*")[0].split("‡")[0]) for name, text in zip(names, texts, strict=True)}
    falling = sorted(values.values(), reverse=True)
    assert [*values.values()] not in (falling, falling[::-1])
    opened.evaluate(press.format(1))
    assert [values[name] for name in opened.evaluate(cells.format(0))] == falling
    opened.evaluate(press.format(1))
    assert [values[name] for name in opened.evaluate(cells.format(0))] == falling[::-1]
    orders = (
        "[...document.querySelectorAll('#methods ~ .scroll th[aria-sort]')].map(each => each.getAttribute('aria-sort'))"
    )
    assert opened.evaluate(orders)[:3] == ["none", "ascending", "none"]
    opened.evaluate(press.format(0))
    assert opened.evaluate(cells.format(0)) == sorted(names, key=str.casefold)


def test_one_chart_is_shown_and_another_can_be_chosen(opened: Browser) -> None:
    shown = (
        "[...document.querySelectorAll('[data-chart]')].filter(each => !each.hidden).map(each => each.dataset.chart)"
    )
    assert opened.evaluate(shown) == ["mean"]
    opened.evaluate(
        "(() => { const choice = document.querySelector('[data-charts] select'); choice.value = 'toy-tier2';"
        " choice.dispatchEvent(new Event('change')); })()"
    )
    assert opened.evaluate(shown) == ["toy-tier2"]


def test_a_link_into_a_folded_part_opens_it(opened: Browser) -> None:
    state = "document.getElementById('mismatch').closest('details').open"
    assert opened.evaluate(state) is False
    opened.evaluate("new Promise(done => { window.onhashchange = () => done(1); window.location.hash = 'mismatch'; })")
    assert opened.evaluate(state) is True


def test_a_toggle_hides_a_method_in_every_panel(opened: Browser) -> None:
    before = opened.evaluate(SEEN)
    assert set(before) >= {"answer", "methods", "table-diagnostics", "cards", "boxes"}
    assert all(("EAPO" if panel == "cards" else "eapo") in found for panel, found in before.items())
    opened.evaluate(_toggled("eapo"))
    after = opened.evaluate(SEEN)
    assert after == {panel: [name for name in found if name.lower() != "eapo"] for panel, found in before.items()}
    opened.evaluate(_toggled("eapo"))
    assert opened.evaluate(SEEN) == before


def test_differences_name_their_reference_and_models_that_are_not_trained_stay(opened: Browser) -> None:
    rows = "[...document.querySelectorAll('#methods ~ .scroll tbody tr')].filter(row => !row.hidden).length"
    marks, methods = opened.evaluate(SEEN)["answer"], opened.evaluate("METHODS.length")
    others = opened.evaluate(rows) - methods
    opened.evaluate(_toggled("dapo"))
    assert opened.evaluate(SEEN)["answer"] == marks
    assert "DAPO" in opened.evaluate("document.querySelector('#answer ~ h3').innerText")
    opened.evaluate("document.getElementById('filter-none').click()")
    assert opened.evaluate(rows) == others > 0
    assert opened.evaluate("document.querySelectorAll('.card').length") == 0
    opened.evaluate("document.getElementById('filter-all').click()")
    assert opened.evaluate(rows) == others + methods


def test_methods_and_place_go_into_the_address_and_come_back_from_it(
    opened: Browser, page: Path, tmp_path: Path
) -> None:
    opened.evaluate("document.getElementById('filter-none').click()")
    for name in ("eapo", "grpo"):
        opened.evaluate(_toggled(name))
    assert opened.evaluate("location.hash") == "#methods=grpo,eapo"
    opened.evaluate("new Promise(done => { window.onhashchange = () => done(1); window.location.hash = 'mismatch'; })")
    address, seen = opened.evaluate("location.hash"), opened.evaluate(SEEN)
    assert address == "#methods=grpo,eapo&at=mismatch"
    assert seen["boxes"] == ["grpo", "eapo"]
    assert seen["cards"] == ["GRPO", "EAPO"]  # few are side by side without being asked for
    shutil.copy(page, tmp_path / "sent.html")
    opened.open(tmp_path / "sent.html", DESKTOP, part=address)
    assert opened.evaluate(SEEN) == seen
    assert opened.evaluate(PRESSED) == ["grpo", "eapo"]
    assert opened.evaluate("document.getElementById('mismatch').closest('details').open") is True
    opened.evaluate("document.getElementById('filter-all').click()")
    assert opened.evaluate("location.hash") == "#mismatch"


def test_an_address_with_an_unknown_name_shows_all_and_says_so(browser: Browser, page: Path, tmp_path: Path) -> None:
    shutil.copy(page, tmp_path / "sent.html")
    browser.open(tmp_path / "sent.html", DESKTOP, part=f"#methods=grpo,{quote(IMAGE)}")
    said = browser.evaluate("document.getElementById('filter-said').textContent")
    assert f"no method of this study: “{IMAGE}”. All are shown." in said
    assert browser.evaluate(PRESSED) == browser.evaluate("METHODS")
    assert browser.evaluate("document.querySelectorAll('[data-method][hidden]').length") == 0
    assert browser.evaluate("window.injected") is None
    assert browser.reported("Runtime.exceptionThrown") == []


def test_toggles_work_by_keyboard(opened: Browser) -> None:
    opened.evaluate("document.getElementById('filter-none').focus()")
    opened.press("Tab")
    first = opened.evaluate("document.activeElement.dataset.toggle")
    assert first == opened.evaluate("METHODS[0]")
    opened.press(" ")
    assert opened.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    assert first not in opened.evaluate(SEEN)["boxes"]
    opened.press(" ")
    assert opened.evaluate(PRESSED) == opened.evaluate("METHODS")


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_text_on_colour_is_legible(browser: Browser, page: Path, ground: str) -> None:
    """A contrast of 4.5 or more (WCAG 2.2, level AA), in every way of colouring."""
    browser.prefer(ground)
    browser.open(page, DESKTOP)
    browser.evaluate("document.querySelector('.value').focus()")
    for colour in ("credit", "share", "mask", "entropy", "quadrant"):
        for step in (0, 3):
            browser.evaluate(_set("token-step", step, "input"))
            browser.evaluate(_set("token-colour", f"'{colour}'"))
            contrasts = browser.evaluate(CONTRASTS)
            assert len(contrasts) > 30
            assert min(contrasts) >= 4.5


@pytest.mark.parametrize("ground", GROUNDS)
def test_axe_finds_no_serious_fault(browser: Browser, page: Path, ground: str) -> None:
    """The rules of axe-core on the whole page, its folded parts open and one method hidden."""
    browser.prefer(ground)
    browser.open(page, DESKTOP)
    browser.evaluate(_toggled("grpo"))
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.evaluate(f"{AXE_SCRIPT}; undefined")
    assert browser.evaluate(FAULTS) == []


def test_measured_credit_can_be_seen_and_read(browser: Browser, store: Store, made: Path, tmp_path: Path) -> None:
    measured = make_measured(store, tmp_path)
    make_shown(measured)
    write(measured, tmp_path / "index.html")
    for ground in GROUNDS:
        browser.prefer(ground)
        browser.open(tmp_path / "index.html", DESKTOP)
        seen = []
        for colour in ("entropy", "advantage", "information"):
            browser.evaluate(_set("token-colour", f"'{colour}'"))
            seen.append(browser.evaluate(COLOURS))
            assert min(browser.evaluate(CONTRASTS)) >= 4.5
        assert seen[0] != seen[1] != seen[2]
    browser.evaluate("document.querySelector('.tokens .token').focus()")
    assert "measured Q − V +0." in browser.evaluate("document.getElementById('token-detail').textContent")
    assert (
        browser.evaluate("document.querySelectorAll('.token.unknown').length") == 0
    )  # I is zero where one token is left
    assert browser.reported("Runtime.exceptionThrown") == []


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_the_page_of_a_study_that_runs_is_as_quiet_and_has_no_fault(
    browser: Browser, unfinished: Path, width: int, ground: str
) -> None:
    browser.prefer(ground)
    browser.open(unfinished, width)
    browser.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.evaluate("document.querySelector('main strong').textContent").count(" of ") == 4
    assert SCRIPT in browser.evaluate("document.querySelector('main table').textContent")
    assert browser.evaluate("window.injected") is None
    assert browser.evaluate("document.scrollingElement.scrollWidth") <= width
    for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert browser.reported(event) == []
    browser.evaluate(f"{AXE_SCRIPT}; undefined")
    assert browser.evaluate(FAULTS) == []
    assert set(browser.evaluate(SEEN)["so-far"]) == {"grpo", "eapo"}
    browser.evaluate(_toggled("eapo"))
    assert set(browser.evaluate(SEEN)["so-far"]) == {"grpo"}


def _toggled(name: str) -> str:
    """Press the toggle of a method."""
    return f"document.querySelector('[data-toggle={name}]').click()"


def _set(name: str, value: object, event: str = "change") -> str:
    """Choose an option of a select, or a place of a slider, as a person would."""
    return (
        f"(() => {{ const control = document.getElementById('{name}'); control.value = {value};"
        f" control.dispatchEvent(new Event('{event}')); }})()"
    )
