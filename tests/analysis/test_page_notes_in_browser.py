"""Curves of runs and notes of people in a real browser: numbers at their steps, told and hidden as all else is, and never run as markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser
from hostile import COMMENT, IMAGE, SCRIPT
from in_page import DESKTOP, PHONE, toggled

pytestmark = pytest.mark.browser

# The numbers that are seen above the curves and in the list, and the lines of their steps.
SEEN = """(() => {
  const there = (selector) => [...document.querySelectorAll(selector)].filter((part) => part.getClientRects().length > 0);
  return {
    marks: there(".marks g").map((mark) => mark.textContent),
    list: there(".notes li").map((note) => String(note.value)),
    lines: there(".noted").length,
  };
})()"""
TEXTS = "[...document.querySelectorAll('.notes li')].map((note) => note.textContent)"
TIP = "(document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent)"
# Left, top, right and bottom of a part.
BOX = (
    "(({left, top, right, bottom}) => [left, top, right, bottom])(document.querySelector('%s').getBoundingClientRect())"
)


def test_notes_are_listed_as_text(opened: Browser) -> None:
    first, second, third = opened.evaluate(TEXTS)
    assert first == f"2026-12-01 09:30 UTC, {SCRIPT}, step 12{IMAGE}"
    assert second == f"2026-12-01 09:30 UTC, A person, EAPO, seed 1, step 12{SCRIPT}"
    assert third == f"2026-12-01 09:30 UTC, A person, GRPO{COMMENT}"
    assert opened.evaluate("document.querySelectorAll('.notes img, .notes script, .curves script').length") == 0
    assert opened.evaluate("window.injected") is None


def test_a_number_at_its_step_tells_its_note_by_keyboard_pointer_and_tap(opened: Browser) -> None:
    mark = "document.querySelectorAll('.marks g')[1]"
    opened.evaluate("document.querySelectorAll('.marks g')[0].focus()")
    opened.press("Tab")
    assert opened.evaluate(f"document.activeElement === {mark}")
    said = f"2026-12-01 09:30 UTC, A person, EAPO, seed 1, step 12: {SCRIPT}"
    assert opened.evaluate(TIP) == said
    opened.press("Escape")
    assert opened.evaluate(TIP) == ""
    for event in ("mouseenter", "click"):
        opened.evaluate(f"{mark}.dispatchEvent(new Event('{event}'))")
        assert opened.evaluate(TIP) == said
        opened.press("Escape")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_numbers_stand_at_their_step_and_apart(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    left, _, right, _ = browser.evaluate(BOX % ".curves .plot")
    first, second = (browser.evaluate(BOX % f".marks g:nth-of-type({number})") for number in (1, 2))
    assert (first[0] + first[2]) / 2 == pytest.approx(left + 12 / 30 * (right - left), abs=1)
    assert first[0] == second[0]
    assert first[3] <= second[1]


def test_a_hidden_method_hides_its_curves_and_notes(opened: Browser) -> None:
    curves = (
        "[...document.querySelectorAll('.curves polyline')].filter((line) => line.getClientRects().length > 0).length"
    )
    before = opened.evaluate(curves)
    assert opened.evaluate(SEEN) == {"marks": ["1", "2"], "list": ["1", "2", "3"], "lines": 2}
    opened.evaluate(toggled("eapo"))
    assert opened.evaluate(SEEN) == {"marks": ["1"], "list": ["1", "3"], "lines": 1}
    assert opened.evaluate(curves) == before - 2
    opened.evaluate("document.getElementById('filter-none').click()")
    assert opened.evaluate(SEEN) == {"marks": ["1"], "list": ["1"], "lines": 1}
    assert opened.evaluate(curves) == 0


def test_a_study_that_runs_shows_them_too(browser: Browser, unfinished: Path) -> None:
    browser.open(unfinished, DESKTOP)
    assert browser.evaluate(SEEN) == {"marks": ["1", "2"], "list": ["1", "2", "3"], "lines": 2}
    assert browser.evaluate("document.querySelectorAll('.curves polyline').length") == 4
    ends = (
        "[...document.querySelectorAll('.curves polyline')].map((line) => line.points[line.points.numberOfItems - 1].x)"
    )
    assert sorted(browser.evaluate(ends)) == [40, 40, 100, 100]  # two at step 12 of 30
    assert browser.evaluate("window.injected") is None
