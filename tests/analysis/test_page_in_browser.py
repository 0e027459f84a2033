"""The page in a real browser, with hostile texts in it: quiet, alone, usable by keyboard, no wider than the window, and legible."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_core_python.base import AXE_SCRIPT
from browser import Browser
from hostile import SCRIPT
from in_page import COLOURS, CONTRASTS, DESKTOP, FAULTS, GROUNDS, PHONE, SEEN, TOKENS, chosen, toggled
from measured_study import make_measured
from shown_files import make_shown

from tokencredit.analysis.page.write import write
from tokencredit.analysis.store import Store

pytestmark = pytest.mark.browser


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
        opened.evaluate(chosen("token-step", step, "input"))
        for problem in opened.evaluate("[...document.getElementById('token-problem').options].map(each => each.value)"):
            opened.evaluate(chosen("token-problem", problem))
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
    opened.evaluate(chosen("token-colour", "'mask'"))
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


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_text_on_colour_is_legible(browser: Browser, page: Path, ground: str) -> None:
    """A contrast of 4.5 or more (WCAG 2.2, level AA), in every way of colouring."""
    browser.prefer(ground)
    browser.open(page, DESKTOP)
    browser.evaluate("document.querySelector('.value').focus()")
    for colour in ("credit", "share", "mask", "entropy", "quadrant"):
        for step in (0, 3):
            browser.evaluate(chosen("token-step", step, "input"))
            browser.evaluate(chosen("token-colour", f"'{colour}'"))
            contrasts = browser.evaluate(CONTRASTS)
            assert len(contrasts) > 30
            assert min(contrasts) >= 4.5


@pytest.mark.parametrize("ground", GROUNDS)
def test_axe_finds_no_serious_fault(browser: Browser, page: Path, ground: str) -> None:
    """The rules of axe-core on the whole page, its folded parts open and one method hidden."""
    browser.prefer(ground)
    browser.open(page, DESKTOP)
    browser.evaluate(toggled("grpo"))
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
            browser.evaluate(chosen("token-colour", f"'{colour}'"))
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
    browser.evaluate(toggled("eapo"))
    assert set(browser.evaluate(SEEN)["so-far"]) == {"grpo"}
