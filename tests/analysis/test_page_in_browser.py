"""The page in a real browser, with hostile texts in it: quiet, alone, usable by keyboard, no wider than the window, and legible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, started
from hostile import SCRIPT, make_hostile
from measured_study import make_measured
from shown_files import make_shown

from tokencredit.analysis.page.write import write
from tokencredit.analysis.store import Store

pytestmark = pytest.mark.browser

DESKTOP, PHONE = 1280, 390
TOKENS = "[...document.querySelectorAll('.tokens')].map(list => list.textContent)"
COLOURS = "[...document.querySelectorAll('.tokens .token')].map(token => getComputedStyle(token).backgroundColor)"
# WCAG 2.2: the contrast of each token's text and its ground.
CONTRASTS = """(() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((value) => channel(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return [...document.querySelectorAll('.token, .outcome')].map((token) => {
    const style = getComputedStyle(token);
    const pair = [light(style.color), light(style.backgroundColor)].sort((one, other) => other - one);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  });
})()"""


@pytest.fixture(scope="module")
def page(store: Store, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write(make_hostile(store, folder), folder / "index.html")
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page, DESKTOP)
    return browser


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_quiet_and_alone_and_fits(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    assert browser.evaluate("document.querySelectorAll('.tokens').length") == 2
    assert browser.evaluate("document.scrollingElement.scrollWidth") <= width  # innerWidth would grow with it
    for event in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
        assert browser.reported(event) == []
    asked = {event["request"]["url"] for event in browser.reported("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}


def test_a_script_in_a_response_does_not_run(opened: Browser) -> None:
    for problem in range(6):
        opened.evaluate(_set("token-problem", problem))
        assert any(SCRIPT.replace(" ", "␣") in text for text in opened.evaluate(TOKENS))
        assert opened.evaluate("window.injected") is None
    assert opened.evaluate("document.querySelectorAll('.tokens img, .tokens script').length") == 0


def test_a_script_that_would_get_in_is_not_allowed_to_run(opened: Browser) -> None:
    """The content security policy, should escaping ever fail."""
    opened.evaluate(
        "(() => { const made = document.createElement('script'); made.textContent = 'window.injected = true';"
        " document.body.append(made); })()"
    )
    assert opened.evaluate("window.injected") is None


@pytest.mark.parametrize(("name", "seen"), [("method", COLOURS), ("problem", TOKENS), ("colour", COLOURS)])
def test_each_choice_works_by_keyboard(opened: Browser, name: str, seen: str) -> None:
    opened.evaluate(_set("token-colour", "'share'"))
    opened.evaluate(f"document.getElementById('token-{name}').focus()")
    before = opened.evaluate(seen)
    opened.press("ArrowDown")
    assert opened.evaluate(seen) != before


def test_the_problem_stays_when_the_method_changes(opened: Browser) -> None:
    opened.evaluate(_set("token-problem", 5))
    text = "document.querySelector('#token-problem option:checked').textContent"
    before = opened.evaluate(text)
    opened.evaluate(_set("token-method", 0))
    assert opened.evaluate(text) == before


def test_tokens_are_read_one_by_one_with_the_arrow_keys(opened: Browser) -> None:
    opened.evaluate("document.querySelector('.tokens .token').focus()")
    first = opened.evaluate("document.getElementById('token-detail').textContent")
    assert "token 1 of" in first
    assert "nats" in first
    assert "quadrant" not in first
    opened.press("ArrowRight")
    assert "token 2 of" in opened.evaluate("document.getElementById('token-detail').textContent")
    opened.press("End")
    assert opened.evaluate("document.activeElement === document.querySelector('.tokens .token:last-of-type')")
    assert opened.evaluate("document.activeElement.title === document.activeElement.getAttribute('aria-label')")
    assert opened.evaluate("document.querySelectorAll('.tokens [tabindex=\"0\"]').length") == 2


def test_every_text_on_colour_is_legible(opened: Browser) -> None:
    """A contrast of 4.5 or more (WCAG 2.2, level AA), in every way of colouring."""
    for colour in ("entropy", "credit", "share", "quadrant"):
        opened.evaluate(_set("token-colour", f"'{colour}'"))
        contrasts = opened.evaluate(CONTRASTS)
        assert len(contrasts) > 30
        assert min(contrasts) >= 4.5


def test_measured_credit_can_be_seen_and_read(browser: Browser, store: Store, made: Path, tmp_path: Path) -> None:
    measured = make_measured(store, tmp_path)
    make_shown(measured)
    write(measured, tmp_path / "index.html")
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


def _set(name: str, value: object) -> str:
    """Choose an option of a select as a person would."""
    return (
        f"(() => {{ const select = document.getElementById('{name}'); select.value = {value};"
        " select.dispatchEvent(new Event('change')); })()"
    )
