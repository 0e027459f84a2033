r"""The grader on real golds, and on the cases that other graders are tested with.

Systematic disagreements with the cases (18 of 245 unit tests), all of them choices of ours or of the test's own options:

- Prose without a box is wrong here, because the prompts ask for one. Where it holds one piece of mathematics that ends it, or is nothing
  but an answer, this is put in a box to test the comparison (so `Answer $ \n 9 \n $`, which is no LaTeX, is right); other prose is only
  tested to be never right. A box before "the final answer is 10,455" is the answer.
- Boxes with words between them are separate answers, the last counts; Math-Verify joins some of them.
- A decimal comma (`1,22` for 1.22, `1000,99`) is a separator here, as in the golds of the benchmarks.
- Two digits for a third in matrices and intervals are accepted only with options that those tests set. An inequality for an interval is
  right here, with those options or without.
- A chain of equations whose sides differ (`x = 5+5+1 = 7 = 11`) is ungraded here; Math-Verify takes the last side.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.grading.conftest import read_rows
from tokencredit.grading import GradingPool, extract_answer
from tokencredit.grading.audit import audit
from tokencredit.records import Problem

pytestmark = pytest.mark.real_data

PROBLEMS = {
    "math500": 500,
    "gsm8k_test": 1319,
    "aime24": 30,
    "aime25": 30,
    "amc83": 83,
    "olympiadbench": 675,
    "minerva_math": 272,
}
AS_TEXT = {"olympiadbench": 2}


@pytest.mark.parametrize("benchmark", PROBLEMS)
def test_audit(benchmark: str, pool: GradingPool, data_root: Path) -> None:
    problems = [
        Problem(row["id"], row["problem"], row["answer"]) for row in read_rows(data_root / f"{benchmark}.jsonl")
    ]
    findings = audit(problems, benchmark, pool)
    print({name: value for name, value in findings.items() if name != "failures"})
    assert findings["passed"], findings["failures"]
    assert findings["gold_right"] == findings["gold_total"] == PROBLEMS[benchmark]
    assert findings["junk_right"] == 0
    assert findings["gold_as_text"] == AS_TEXT.get(benchmark, 0)
    # Junk must be judged, not refused: hardly any of it may be ungraded.
    ungraded = sum(outcomes.get("ungraded", 0) for outcomes in findings["junk"].values())
    assert ungraded <= 0.015 * findings["junk_total"]
    assert sum(findings["junk"]["other"].values()) >= 0.75 * PROBLEMS[benchmark]
    assert sum(findings["junk"]["perturbed"].values()) >= 0.95 * PROBLEMS[benchmark]


# Cases that agree, of those that are compared, as measured.
FLOORS = {
    "unit_test": (227, 245),
    "unit_test_raw": (25, 25),
    "two_copies_of_one_gold": (69, 69),
    "reported_false_positive": (6, 6),
    "timeout": (1, 1),
}
_MATHEMATICS = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_PROSE = re.compile(r"[^\W\d_]{3,} [^\W\d_]{2,}|[\u0600-\u9fff]")


def compared(prediction: str) -> str | None:
    """The prediction with its answer in a box; None where its prose does not say which part is the answer."""
    if extract_answer(prediction).answer is not None:
        return prediction
    pieces = list(_MATHEMATICS.finditer(prediction))
    if len(pieces) == 1 and not re.search(r"\d", prediction[pieces[0].end() :]):
        return rf"\boxed{{{''.join(filter(None, pieces[0].groups())).strip()} }}"
    return None if pieces or _PROSE.search(prediction) else rf"\boxed{{{prediction} }}"


@pytest.mark.slow
def test_cases_of_other_graders(pool: GradingPool, data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agreement: dict[str, Counter[str]] = defaultdict(Counter)
    disagreements = []
    cases = read_rows(data_root / "grader_cases.jsonl")
    responses = [case["prediction"] if case["kind"] == "timeout" else compared(case["prediction"]) for case in cases]
    grades = pool.grade_many(
        [
            (case["gold"], case["prediction"] if response is None else response)
            for case, response in zip(cases, responses, strict=True)
        ]
    )
    for case, response, grade in zip(cases, responses, grades, strict=True):
        count = agreement[case["kind"]]
        if response is None:
            count["prose"] += 1
            assert grade.outcome == "wrong"
            continue
        agree = (grade.outcome == "right") == case["expected"]
        count["compared"] += 1
        count["agree" if agree else "disagree"] += 1
        count["ungraded"] += grade.outcome == "ungraded"
        if not agree:
            disagreements.append(
                (
                    case["id"],
                    case["kind"],
                    case["expected"],
                    grade.outcome,
                    case["gold"][-60:],
                    (grade.answer or "")[:60],
                )
            )
    with capsys.disabled():
        print("\nagreement with the cases of other graders:")
        for kind, count in sorted(agreement.items()):
            print(
                f"  {kind}: {count['agree']} of {count['compared']} ({count['ungraded']} ungraded; {count['prose']} only prose)"
            )
    for disagreement in disagreements:
        print(*disagreement, sep=" | ")
    for kind, (agree, total) in FLOORS.items():
        assert agreement[kind]["compared"] == total, kind
        assert agreement[kind]["agree"] >= agree, kind
