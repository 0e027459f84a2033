"""The graders beside mathematics, and what any grader has to hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import tokencredit
from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.grading import GRADERS, GradingPool, grade


def outcome(grader: str, gold: str, answer: str) -> str:
    return grade(gold, rf"So it is $\boxed{{{answer}}}$.", grader).outcome


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("B", "B", "right"),
        ("B", "(b)", "right"),
        ("(B)", r"\text{B}", "right"),
        ("B", r"\textbf{(B)}\ 42", "right"),
        ("B", "B. 42 metres", "right"),
        ("B", "**B**", "right"),
        ("B", "\uff22", "right"),  # full width
        ("B", "C", "wrong"),
        ("B", "A, B", "wrong"),
        ("B", "(B) or (C)", "wrong"),
        ("B", "B and C", "wrong"),
        ("B", "42", "ungraded"),
        ("B", "BD", "ungraded"),
        ("B", "-B", "ungraded"),
        ("B", r"\neq B", "ungraded"),
        ("B", "B. Not A", "ungraded"),
        ("42", "B", "ungraded"),
    ],
)
def test_choice(gold: str, answer: str, expected: str) -> None:
    assert outcome("choice", gold, answer) == expected


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("Zürich", " Zu\u0308rich ", "right"),
        ("Zürich", "zürich", "wrong"),
        ("5", "5.0", "wrong"),
        ("a b", "a  b", "wrong"),
        (r"\boxed{x}", "x", "right"),
        ("", "x", "ungraded"),
    ],
)
def test_exact(gold: str, answer: str, expected: str) -> None:
    assert outcome("exact", gold, answer) == expected


@pytest.mark.parametrize("grader", GRADERS)
def test_every_grader_keeps_the_rules_of_boxes(grader: str) -> None:
    gold = "B"
    with GradingPool(grader=grader) as pool:
        grades = pool.grade_many([(gold, "B"), (gold, r"\boxed{}"), (gold, r"<think>\boxed{B}"), (gold, r"\boxed{B}")])
        assert [each.outcome for each in grades] == ["wrong", "wrong", "wrong", "right"]
        assert pool.label == GRADERS[grader].label() != ""


def test_an_unknown_grader_is_an_error() -> None:
    with pytest.raises(UserError, match="grader = 'maths': is not known; allowed: math, exact, choice"):
        GradingPool(grader="maths")


@pytest.mark.slow
def test_the_parent_imports_no_algebra() -> None:
    code = "import sys; from tokencredit.grading import grade; grade('B', r'\\boxed{B}', 'choice'); print('sympy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


SPELLED = '''"""``spelled``: the answer has the gold's letters, in either case."""


def label():
    return "spelled 1"


def at_once(gold, answer):
    return ("right" if gold.lower() == answer.lower() else "wrong"), None


def in_worker():
    return at_once


def mutants(gold, rng):
    yield "another letter", gold + "s"


def rewritings(gold, rng):
    yield "capitals", gold.upper()


def why_equal(gold, answer, rng):
    return None
'''


@pytest.mark.slow
def test_a_new_grader_is_a_file_and_an_entry(tmp_path: Path) -> None:
    """The recipe of config/README.md: the file, the entry, and `grader: spelled` works where graders are named, its audit too."""
    package = tmp_path / "tokencredit"
    shutil.copytree(Path(tokencredit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "grading" / "graders" / "spelled.py").write_text(SPELLED)
    registry = package / "grading" / "graders" / "__init__.py"
    text = registry.read_text().replace(
        "import choice, exact, mathematics", "import choice, exact, mathematics, spelled"
    )
    registry.write_text(text.replace('"choice": choice}', '"choice": choice, "spelled": spelled}'))
    files.write_parquet(tmp_path / "p.parquet", pd.DataFrame({"problem_id": ["a"], "problem": "?", "answer": "word"}))
    arguments = ["audit", "--grader", "spelled", "--problems", "p.parquet", "--benchmark", "b", "--out", "b.json"]
    command = [sys.executable, "-m", "tokencredit.grading", *arguments]
    ran = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    report = files.read_json(tmp_path / "b.json")
    assert (report["grader"], report["mutants_total"], report["rewritings_total"]) == ("spelled 1", 1, 1)
