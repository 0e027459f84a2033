from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.grading import GRADER, Grade, GradingPool
from tokencredit.grading.__main__ import app
from tokencredit.grading.audit import _differ, _plain, audit, audit_cases, perturbed
from tokencredit.records import Problem

GOLDS = [
    "5",
    "1,000",
    "0.64",
    "3e6",
    r"\frac{3}{4}",
    "-7/2",
    "x^2+1",
    r"\sqrt{3}",
    "x=3",
    r"[2,\infty)",
    r"90^\circ",
    r"\text{east}",
]
PROBLEMS = [Problem(f"p{index}", "?", gold) for index, gold in enumerate(GOLDS)]


class Grader:
    """Stands in for a pool; grades by a rule."""

    def __init__(self, rule: object) -> None:
        self.rule = rule

    def grade_many(self, pairs: list[tuple[str, str]], progress: bool = False) -> list[Grade]:
        return [Grade(self.rule(*pair), None, None) for pair in pairs]


def test_the_real_grader_passes(pool: GradingPool) -> None:
    findings = audit(PROBLEMS, "twelve", pool)
    assert findings["passed"], findings["failures"]
    assert (findings["gold_right"], findings["gold_total"], findings["junk_right"]) == (12, 12, 0)
    assert findings["junk_total"] == sum(sum(outcomes.values()) for outcomes in findings["junk"].values())
    assert findings["grader"] == GRADER
    assert sum(findings["junk"]["perturbed"].values()) == 11


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (lambda gold, response: "right", {"other", "perturbed", "empty", "words", "no_box", "open_box", "reasoning"}),
        (lambda gold, response: "wrong", {"gold"}),
        (lambda gold, response: "ungraded", {"gold"}),
        # A grader that looks for the gold's text anywhere.
        (
            lambda gold, response: "right" if gold in response else "wrong",
            {"no_box", "open_box", "reasoning", "perturbed"},
        ),
        # A grader that takes the first number it finds for the answer.
        (
            lambda gold, response: (
                "right" if re.findall(r"\d+", gold)[:1] == re.findall(r"\d+", response)[:1] else "wrong"
            ),
            {"no_box"},
        ),
    ],
)
def test_bad_graders_fail(rule: object, found: set[str]) -> None:
    findings = audit(PROBLEMS, "twelve", Grader(rule))
    assert not findings["passed"]
    assert found <= {failure["kind"] for failure in findings["failures"]}


def test_an_audit_of_texts_only_does_not_pass() -> None:
    def grade_many(pairs: list[tuple[str, str]], progress: bool) -> list[Grade]:
        kinds = [case.kind for case in audit_cases(PROBLEMS)]
        return [
            Grade("right", "a", "compared as text") if kind == "gold" else Grade("wrong", None, None) for kind in kinds
        ]

    findings = audit(PROBLEMS, "twelve", SimpleNamespace(grade_many=grade_many))
    assert (findings["gold_as_text"], findings["failures"], findings["passed"]) == (12, [], False)


NUMERALS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.integers(0, 10**9).map(lambda number: f"{number:,}"),
    st.decimals(-(10**6), 10**6, places=4).map(str),
    st.builds(lambda a, b: rf"-\frac{{{a}}}{{{b}}}", st.integers(0, 999), st.integers(1, 999)),
    st.builds(lambda a, b: f"{a}/{b}", st.integers(-999, 999), st.integers(1, 999)),
    st.builds(lambda a, b: f"{a / 100}e{b}", st.integers(1, 999), st.integers(-40, 40)),
)


@given(NUMERALS)
def test_a_perturbed_number_is_another_number(gold: str) -> None:
    before, after = _plain(gold), _plain(perturbed(gold))
    assert before is not None
    assert after is not None
    change = abs(after.value - before.value)
    assert change == 1 or change >= abs(before.value) / 10 > 0 or change == Fraction(1, 10)


@pytest.mark.parametrize(
    ("gold", "value"),
    [
        ("1,234", 1234),
        ("3e6", 3000000),
        ("-.5", Fraction(-1, 2)),
        (r"-\dfrac{1}{2}", Fraction(-1, 2)),
        (r"\$10", 10),
        ("41.8^{\\circ}", Fraction(209, 5)),
    ],
)
def test_plain_numbers(gold: str, value: Fraction) -> None:
    assert _plain(gold).value == value


@pytest.mark.parametrize("text", ["x", r"\sqrt{4}", "1,2", "1/0", "2^3", "12:00", ""])
def test_what_is_no_plain_number(text: str) -> None:
    assert _plain(text) is None


@pytest.mark.parametrize(
    ("gold", "other", "different"),
    [
        ("5", "6", True),
        ("5", "5.0", False),
        ("0.5", r"\frac{1}{2}", False),
        ("50", "0.5", False),
        ("100", "100.5", False),
        (r"\sqrt{9}", "3", False),
        ("x+1", r"\sqrt{3}", True),
        ("x+1", "x+2", False),
        ("x=1", "y", False),
        (r"\pi x", r"\text{apple}", True),
    ],
)
def test_certainly_different(gold: str, other: str, different: bool) -> None:
    assert _differ(gold, other) is different


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    table = pd.DataFrame([vars(problem) for problem in PROBLEMS])
    files.write_parquet(tmp_path / "problems.parquet", table)
    return tmp_path / "problems.parquet"


def test_audit_command(problems: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit" / "twelve.json"
    arguments = ["audit", "--problems", str(problems), "--benchmark", "twelve", "--out", str(out), "--workers", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "12 of 12 golds right" in done.output
    assert json.loads(out.read_text())["passed"] is True


def test_audit_command_stops_the_study(problems: Path, tmp_path: Path) -> None:
    table = files.read_parquet(problems)
    table.loc[3, "answer"] = ""  # nothing is right against an empty gold
    files.write_parquet(problems, table)
    out = tmp_path / "twelve.json"
    arguments = ["audit", "--problems", str(problems), "--benchmark", "twelve", "--out", str(out), "--workers", "1"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UserError)
    assert "11 of 12 golds" in str(done.exception)
    assert not out.exists()
    failures = json.loads((tmp_path / "twelve.failed.json").read_text())["failures"]
    assert [(failure["problem_id"], failure["kind"]) for failure in failures] == [("p3", "gold")]


def test_grade_command(problems: Path, tmp_path: Path) -> None:
    rows = [("p0", 0, r"\boxed{5}"), ("p0", 1, r"\boxed{6}"), ("p1", 0, "1000"), ("p1", 1, r"\boxed{\frac}")]
    table = pd.DataFrame(rows, columns=["problem_id", "sample", "response"])
    files.write_parquet(tmp_path / "generations.parquet", table, {"row": "base", "code_digest": "abc", "samples": 2})
    out = tmp_path / "grades.parquet"
    arguments = [
        "grade",
        "--generations",
        str(tmp_path / "generations.parquet"),
        "--problems",
        str(problems),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    grades = files.read_parquet(out)
    assert grades[["problem_id", "sample"]].to_numpy().tolist() == table[["problem_id", "sample"]].to_numpy().tolist()
    assert grades["outcome"].tolist() == ["right", "wrong", "wrong", "ungraded"]
    assert grades["answer"].isna().tolist() == [False, False, True, False]
    assert grades["reason"].isna().tolist() == [True, True, False, False]
    metadata = files.parquet_metadata(out)
    assert (metadata["row"], metadata["code_digest"], metadata["grader"]) == ("base", "abc", GRADER)
    assert metadata["generations_sha256"] == files.sha256(tmp_path / "generations.parquet")

    files.write_parquet(tmp_path / "generations.parquet", table.iloc[1:], {"samples": 2})
    done = CliRunner().invoke(app, arguments)
    assert "generations.parquet: 3 rows, 4 are expected: 2 of each problem. 'p0' has 1" in str(done.exception)
    assert files.read_parquet(out).equals(grades)


def test_grade_command_names_an_unknown_problem(problems: Path, tmp_path: Path) -> None:
    table = pd.DataFrame([("q", 0, r"\boxed{5}")], columns=["problem_id", "sample", "response"])
    files.write_parquet(tmp_path / "generations.parquet", table)
    arguments = [
        "grade",
        "--generations",
        str(tmp_path / "generations.parquet"),
        "--problems",
        str(problems),
        "--out",
        str(tmp_path / "g"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, UserError)
    assert "problem_id = 'q'" in str(done.exception)


@pytest.mark.parametrize(
    ("gold", "response", "said"),
    [
        (r"\frac{\sqrt{12}}{2}", r"\boxed{x=\sqrt3}", ["right", "number: 3^(1/2)", "name x", "no algebra system"]),
        (r"\sin 2x", r"\boxed{2\sin x\cos x}", ["right", "sin(2·x)", "SymPy was asked"]),
        (r"(-\infty,3]", r"\boxed{x<3}", ["wrong", "interval: low minus infinity, high 3, closed high", "signs (<)"]),
        (r"\log 100", r"\boxed{2}", ["ungraded: it can be read in two ways", "in doubt: a logarithm"]),
        (r"1,2,\ldots", r"\boxed{3}", ["ungraded", "text, for it has dots"]),
        ("5", "5", ["wrong: no boxed answer", "answer: none"]),
    ],
)
def test_explain_command(gold: str, response: str, said: list[str]) -> None:
    done = CliRunner().invoke(app, ["explain", gold, response])
    assert done.exit_code == 0, done.output
    assert [text for text in said if text not in done.output] == []
