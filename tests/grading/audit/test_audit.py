"""What an audit finds, and that a grader which falls for anything does not pass."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tokencredit import files
from tokencredit.errors import UserError
from tokencredit.grading import Grade, GradingPool, extract_answer
from tokencredit.grading.__main__ import app
from tokencredit.grading.audit import Bounds, audit, golds_and_junk
from tokencredit.grading.audit.proof import why_equal
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
    """Stands in for a pool; grades by a rule, and knows what it was asked."""

    grader = "math"
    label = "a rule"

    def __init__(self, rule: object) -> None:
        self.rule = rule
        self.asked: list[tuple[str, str]] = []

    def grade_many(self, pairs: list[tuple[str, str]], progress: bool = False) -> list[Grade]:
        self.asked = list(pairs)
        return [Grade(self.rule(*pair), extract_answer(pair[1]).answer or "", None) for pair in pairs]


def proved(gold: str, response: str) -> str:
    """A grader that believes what the audit can prove, and nothing else."""
    answer = extract_answer(response).answer
    return "right" if answer and why_equal(gold, answer, random.Random(1)) else "wrong"


def test_a_grader_that_only_believes_proofs_passes() -> None:
    findings = audit(PROBLEMS, "twelve", Grader(proved))
    assert findings["passed"], findings
    assert (findings["gold_right"], findings["gold_total"], findings["junk_right"]) == (12, 12, 0)
    assert findings["junk_total"] == sum(sum(outcomes.values()) for outcomes in findings["junk"].values())
    assert sum(findings["junk"]["perturbed"].values()) == 11
    for group in ("mutants", "rewritings"):
        assert findings[f"{group}_total"] == sum(sum(counts.values()) for counts in findings[group].values()) > 50
    assert findings["grader"] == "a rule"


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blind", "kind"),
    [
        (lambda text: text.lower(), "case of a letter"),
        (lambda text: text.replace("-", "+"), "sign"),
        (lambda text: re.sub(r"\\text\{.*", "", text), "extra element"),
        (lambda text: text.rpartition("=")[2], "equation"),
        (lambda text: text.replace("'", ""), "prime"),
        (lambda text: text.replace("[", "(").replace("]", ")"), "bracket"),
    ],
)
def test_a_grader_that_is_blind_to_something_is_found_out(blind: object, kind: str) -> None:
    """Each stand-in grades by text, and does not see one thing; all golds are read as they are."""
    golds = ["17", "-42", "2x+y", "Bb+x", "(1,2]", r"\{3,4\}", r"x \in [2,3]"]

    def rule(gold: str, response: str) -> str:
        texts = [blind(text or "").replace(" ", "") for text in (gold, extract_answer(response).answer)]
        return "right" if texts[0] == texts[1] or proved(gold, response) == "right" else "wrong"

    problems = [Problem(gold, "?", gold) for gold in golds]
    exceptions = [audit(problems, "blind", Grader(rule), seed=seed)["mutants_exceptions"] for seed in range(6)]
    assert kind in {case["kind"] for found in exceptions for case in found}


@pytest.mark.slow
def test_the_same_seed_makes_the_same_audit_and_another_one_does_not() -> None:
    first, second = Grader(proved), Grader(proved)
    findings = audit(PROBLEMS, "twelve", first)
    assert audit(PROBLEMS, "twelve", second, seed=findings["seed"]) == findings
    assert first.asked == second.asked
    assert audit(PROBLEMS, "twelve", second)["seed"] != findings["seed"]
    assert first.asked != second.asked


def test_bounds_decide_what_passes() -> None:
    def lax(gold: str, response: str) -> str:
        """Right, but for junk, with one mutant in it; rewritings by a name are not right."""
        answer = extract_answer(response).answer or ""
        outcome = "right" if "million" in answer else proved(gold, response)
        return "ungraded" if re.match(r"[a-z]=", answer) and gold == "5" else outcome

    problems = [Problem("p", "?", "5"), Problem("q", "?", "7"), Problem("r", "?", "1234567")]
    found = audit(problems, "three", Grader(lax), seed=3)
    assert not found["passed"]
    assert found["rewritings_not_right"] == 1
    assert found["rewritings_exceptions"][0]["kind"] == "name before it"
    assert found["bounds"] == {"mutants_right": 0.0, "rewritings_not_right": 0.005}
    assert audit(problems, "three", Grader(lax), Bounds(1.0, 0.5), seed=3)["passed"]
    assert not audit(problems, "three", Grader(lax), Bounds(1.0, 0.0), seed=3)["passed"]


def test_an_audit_of_texts_only_does_not_pass() -> None:
    class Texts(Grader):
        def grade_many(self, pairs: list[tuple[str, str]], progress: bool = False) -> list[Grade]:
            golds = sum(case.kind == "gold" for case in golds_and_junk(PROBLEMS))
            found = [Grade(proved(*pair), extract_answer(pair[1]).answer or "", None) for pair in pairs]
            kinds = [case.kind for case in golds_and_junk(PROBLEMS)]
            assert golds == 12
            return [
                Grade("right", "a", "compared as text") if kind == "gold" else grade
                for kind, grade in zip([*kinds, *[""] * (len(pairs) - len(kinds))], found, strict=True)
            ]

    findings = audit(PROBLEMS, "twelve", Texts(None))
    assert (findings["gold_as_text"], findings["failures"], findings["passed"]) == (12, [], False)


@pytest.mark.parametrize(("grader", "golds"), [("choice", ["A", "(c)", "B"]), ("exact", ["Zürich", "two words"])])
def test_the_other_graders_pass(grader: str, golds: list[str]) -> None:
    with GradingPool(grader=grader) as pool:
        findings = audit([Problem(gold, "?", gold) for gold in golds], grader, pool)
    assert findings["mutants_total"] >= 8
    assert findings["mutants_exceptions"] == findings["rewritings_exceptions"] == findings["failures"] == []
    assert findings["passed"]


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    table = pd.DataFrame([vars(problem) for problem in PROBLEMS])
    files.write_parquet(tmp_path / "problems.parquet", table)
    return tmp_path / "problems.parquet"


def test_audit_command(problems: Path, tmp_path: Path) -> None:
    table = files.read_parquet(problems)
    table["answer"] = ["A", "b", "(C)", "D"] * 3
    files.write_parquet(problems, table)
    out = tmp_path / "audit" / "twelve.json"
    arguments = ["audit", "--problems", str(problems), "--benchmark", "twelve", "--out", str(out), "--grader", "choice"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "12 of 12 golds right" in done.output
    report = json.loads(out.read_text())
    assert (report["passed"], report["grader"]) == (True, "choice")
    again = CliRunner().invoke(app, [*arguments, "--seed", str(report["seed"])])
    assert (again.exit_code, json.loads(out.read_text())) == (0, report)


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


def test_an_unknown_grader_is_named(problems: Path, tmp_path: Path) -> None:
    arguments = ["audit", "--problems", str(problems), "--benchmark", "b", "--out", str(tmp_path / "b.json")]
    done = CliRunner().invoke(app, [*arguments, "--grader", "maths"])
    assert str(done.exception) == "grader = 'maths': is not known; allowed: math, exact, choice."
