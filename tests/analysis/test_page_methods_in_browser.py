"""The toggles of methods in a real browser: what each hides, by keyboard too, and the address that keeps the choice."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import Browser
from hostile import IMAGE
from in_page import DESKTOP, PRESSED, SEEN, toggled

pytestmark = pytest.mark.browser


def test_a_toggle_hides_a_method_in_every_panel(opened: Browser) -> None:
    before = opened.evaluate(SEEN)
    assert set(before) >= {"answer", "methods", "table-diagnostics", "cards", "boxes"}
    assert all(("EAPO" if panel == "cards" else "eapo") in found for panel, found in before.items())
    opened.evaluate(toggled("eapo"))
    after = opened.evaluate(SEEN)
    assert after == {panel: [name for name in found if name.lower() != "eapo"] for panel, found in before.items()}
    opened.evaluate(toggled("eapo"))
    assert opened.evaluate(SEEN) == before


def test_differences_name_their_reference_and_models_that_are_not_trained_stay(opened: Browser) -> None:
    rows = "[...document.querySelectorAll('#methods ~ .scroll tbody tr')].filter(row => !row.hidden).length"
    marks, methods = opened.evaluate(SEEN)["answer"], opened.evaluate("METHODS.length")
    others = opened.evaluate(rows) - methods
    opened.evaluate(toggled("dapo"))
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
        opened.evaluate(toggled(name))
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
