"""``docs/methods.md`` is what ``METHODS`` says."""

from __future__ import annotations

from pathlib import Path

from tokencredit.credit import METHODS
from tokencredit.tools.methods_page import page

PAGE = Path("docs/methods.md")


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: tokencredit docs"


def test_every_method_has_its_equation_and_its_sentence() -> None:
    for name, method in METHODS.items():
        assert method.equation, name
        assert method.function.__doc__, name
        assert f"\n### {name}\n" in page()
