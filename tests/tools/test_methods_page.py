"""``docs/methods.md`` is what ``METHODS`` says."""

from __future__ import annotations

from pathlib import Path

from tokencredit.credit import METHODS
from tokencredit.tools.methods_page import CLAIMS, page

PAGE = Path("docs/methods.md")


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: tokencredit docs"


def test_every_method_has_its_equation_and_its_sentence() -> None:
    for name, method in METHODS.items():
        assert method.equation, name
        assert method.function.__doc__, name
        assert f"\n### {name}\n" in page()


def test_every_family_makes_one_claim() -> None:
    """A new one is sorted in, or stands among others until it is."""
    sorted_in = [module for _, _, modules in CLAIMS for module in modules]
    assert len(sorted_in) == len({*sorted_in})
    assert {*sorted_in} <= {method.module.split(".")[-1] for method in METHODS.values()}
    text = page()
    assert text.index("## It has to be measured") < text.index("[vine](#vine)") < text.index("## What is known")
    assert all(text.count(f"[{name}](#{name})") == 1 for name in METHODS)


def test_what_methods_of_a_family_share_stands_once() -> None:
    """Whole notes, the definitions of an equation, and a whole equation."""
    text = page()
    assert text.count("VinePPO's unit is the reasoning step") == 1
    assert "*Notes.* As for `vine`. Steps end where a sentence does.\n" in text
    assert "*Notes.* As for `psr`.\n" in text
    shift = r"D_{i,t} = \log\pi(o_{i,t} \mid x, z, o_{i,<t}) - \log\pi(o_{i,t} \mid x, o_{i,<t})"
    assert text.count(shift) == 2  # defined once, and a credit of its own
    assert "Equation: that of `eapo`." in text.partition("### eapo-per-update")[2].partition("###")[0]
