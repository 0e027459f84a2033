"""``docs/results.md``: every number comes from one line of a table, and the page is what its template makes of the tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tokencredit.errors import UserError
from tokencredit.tools import results_page

TABLE = "method,seed,effect,low,high,share\neapo,0,1.25,-0.5,3,0.043\neapo,1,-2,-3,-1,\ndapo,0,0,-1,1,0.5\n"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "found.csv").write_text(TABLE)
    monkeypatch.setattr(results_page, "FOLDER", tmp_path)
    monkeypatch.setattr(results_page, "TEMPLATE", tmp_path / "results.md.j2")
    return tmp_path / "results.md.j2"


def test_the_page_is_current() -> None:
    assert Path("docs/results.md").read_text(encoding="utf-8") == results_page.page(), "run: tokencredit docs"


def test_what_readme_says_was_found_stands_on_the_page() -> None:
    """README's percentages and intervals, from the measured credit on; its table of the demo has a test of its own."""
    told = Path("README.md").read_text(encoding="utf-8")
    _, _, told = told.partition("credit is *measured*")
    told, _, _ = told.partition("\n## ")
    numbers = re.findall(r"[+−]?\d[\d.]* \[[^\]]*\]|\d[\d.]* %", told)
    assert len(numbers) > 6
    assert [number for number in numbers if number not in results_page.page()] == []


def test_numbers_come_from_the_lines_of_tables(made: Path) -> None:
    made.write_text(
        '{% set line = one("found", method="eapo", seed=0) %}\n'
        "{{ effect(line) }}; {{ line.share | percent(1) }}; {{ interval(line, '', 0) }}; {{ line.effect | points(2) }}\n"
        '{% for each in many("found", seed=0) %}\n- {{ each.method }}\n{% endfor %}\n'
        '{{ one("found", share=None).low | number }}\n'
    )
    assert results_page.page() == "+1.2 [−0.5, 3.0]; 4.3 %; [0, 3]; +1.25\n- eapo\n- dapo\n−3.0\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It gains\n1.4 points.\n", "line 2: '1.4' is a number that no file tells"),
        ('{{ one("found", method="eapo").effect }}', "found.csv has 2 lines with {'method': 'eapo'}; one is needed"),
        ('{{ one("found", method="epao").effect }}', "found.csv has 0 lines"),
        ('{{ one("found", metod="eapo").effect }}', "found.csv has no column 'metod'; it has method, seed, effect"),
        ('{{ one("missing", method="eapo").effect }}', "missing.csv: no such file"),
        ('{{ one("found", method="eapo", seed=1).share | percent }}', "is missing in its table"),
    ],
)  # fmt: skip
def test_a_number_that_no_line_tells_is_refused(made: Path, text: str, sentence: str) -> None:
    made.write_text(text)
    with pytest.raises(UserError) as error:
        results_page.page()
    assert sentence in str(error.value)


def test_digits_that_are_names_stand_as_they_are(made: Path) -> None:
    text = "C1 and E6 of arXiv 2604.11056v1, Pass@16, Table 1, `seeds: [5]`, [a page](a1.md), 95 % intervals.\n"
    made.write_text(text)
    assert results_page.page() == text
