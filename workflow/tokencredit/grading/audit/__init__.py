r"""The audit of a grader on a benchmark, a gate of every study: golds, junk, mutants and rewritings, and what became of each.

========== ================================================================= =======================================================
cases      what they are                                                     what a grader must do
========== ================================================================= =======================================================
golds      every gold in a box (``junk.py``)                                 all right, at most ``MAX_TEXT_SHARE`` of them as texts
junk       another gold, an empty box, no box (``junk.py``)                  none right
mutants    each gold with one slip (``mutants.py``), another value for all   none right but those that are provably equal
           that is known                                                     (``proof.py``), up to ``Bounds.mutants_right``
rewritings each gold in other words (``rewritings.py``)                      right, but for ``Bounds.rewritings_not_right``
========== ================================================================= =======================================================

Mutants and rewritings are drawn with a seed that is new in every audit and recorded in its report, which the same seed makes again.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from tokencredit.grading.audit.junk import Case, boxed, golds_and_junk
from tokencredit.grading.audit.mutants import mutants
from tokencredit.grading.audit.proof import why_equal
from tokencredit.grading.audit.rewritings import rewritings
from tokencredit.grading.extract import gold_answer
from tokencredit.grading.graders import Audited, grader_named
from tokencredit.grading.pool import Grade, GradingPool
from tokencredit.records import Bounds, Problem

MAX_TEXT_SHARE = 0.05  # OlympiadBench has 2 of 675, the other benchmarks none
MOST_VARIANTS = 6000  # mutants, and as many rewritings: beyond, they are a sample

Variants = Callable[[str, random.Random], Iterator[tuple[str, str]]]


def audit(
    problems: Sequence[Problem],
    benchmark: str,
    pool: GradingPool,
    bounds: Bounds | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """The findings: counts by kind, every exception with its response and grade, and every mutant that is equal after all, with the reason.

    ``seed``: of the mutants and rewritings; a random one without it.
    """
    bounds = bounds or Bounds()
    seed = secrets.randbits(32) if seed is None else seed
    made = _variants_by(pool.grader)
    golds = list(dict.fromkeys((gold_answer(problem.answer), problem) for problem in problems))
    groups = {
        "golds_and_junk": list(golds_and_junk(problems)),
        "mutants": _drawn(golds, made.mutants, f"{seed} mutants"),
        "rewritings": _drawn(golds, made.rewritings, f"{seed} rewritings"),
    }
    cases = [case for group in groups.values() for case in group]
    grades = iter(pool.grade_many([(case.gold, case.response) for case in cases], progress=True))
    graded = {name: [(case, next(grades)) for case in group] for name, group in groups.items()}
    basic = _golds_and_junk(graded["golds_and_junk"])
    mutated = _mutants(graded["mutants"], made.why_equal, seed)
    rewritten = _rewritings(graded["rewritings"])
    return {
        "benchmark": benchmark,
        "grader": pool.label,
        **basic,
        "seed": seed,
        "bounds": asdict(bounds),
        **mutated,
        **rewritten,
        "passed": bool(basic["gold_total"])
        and not basic["failures"]
        and basic["gold_as_text"] <= MAX_TEXT_SHARE * basic["gold_total"]
        and mutated["mutants_right"] <= bounds.mutants_right * mutated["mutants_total"]
        and rewritten["rewritings_not_right"] <= bounds.rewritings_not_right * rewritten["rewritings_total"],
    }


def why_failed(findings: dict[str, Any]) -> str:
    """What was found and what is allowed, in sentences."""
    bounds = findings["bounds"]
    return (
        f"{findings['gold_right']} of {findings['gold_total']} golds are graded right, and "
        f"{findings['junk_right']} of {findings['junk_total']} junk answers; all and none are allowed. "
        f"{findings['gold_as_text']} golds were compared as text; at most {MAX_TEXT_SHARE:.0%} may be. "
        f"{findings['mutants_right']} of {findings['mutants_total']} mutants are right and not provably equal to their gold; "
        f"at most {bounds['mutants_right']:.2%} may be. {findings['rewritings_not_right']} of {findings['rewritings_total']} "
        f"rewritings are not right; at most {bounds['rewritings_not_right']:.2%} may be."
    )


def _variants_by(grader: str) -> Audited | SimpleNamespace:
    """The grader's own functions; those of mathematics are the audit's, for the digests of grades do not count them."""
    module = grader_named(grader)
    if isinstance(module, Audited):
        return module
    return SimpleNamespace(mutants=mutants, rewritings=rewritings, why_equal=why_equal)


def _drawn(golds: list[tuple[str, Problem]], make: Variants, seed: str) -> list[Case]:
    """Variants of each different gold, at most ``MOST_VARIANTS``, in the golds' order."""
    different = {gold: problem for gold, problem in reversed(golds) if gold}
    cases = [
        Case(problem.problem_id, kind, problem.answer, boxed(text))
        for gold, problem in reversed(different.items())
        for kind, text in make(gold, random.Random(f"{seed} {gold}"))
    ]
    if len(cases) <= MOST_VARIANTS:
        return cases
    chosen = sorted(random.Random(seed).sample(range(len(cases)), MOST_VARIANTS))
    return [cases[place] for place in chosen]


def _golds_and_junk(graded: list[tuple[Case, Grade]]) -> dict[str, Any]:
    kinds = _counts(graded)
    gold = kinds.pop("gold", Counter())
    as_text = [case for case, grade in graded if case.kind == "gold" and grade.outcome == "right" and grade.reason]
    return {
        "gold_right": gold["right"],
        "gold_total": gold.total(),
        "gold_as_text": len(as_text),
        "junk_right": sum(outcomes["right"] for outcomes in kinds.values()),
        "junk_total": sum(outcomes.total() for outcomes in kinds.values()),
        "junk": _sorted(kinds),
        "failures": [
            _shown(case, grade) for case, grade in graded if (case.kind == "gold") != (grade.outcome == "right")
        ],
    }


def _mutants(graded: list[tuple[Case, Grade]], why: Callable[..., str | None], seed: int) -> dict[str, Any]:
    """Counts of the mutants by kind; those graded right are equal, with the reason, or exceptions."""
    kinds, equal, exceptions = _counts(graded), [], []
    for case, grade in graded:
        if grade.outcome != "right":
            continue
        reason = why(case.gold, grade.answer, random.Random(f"{seed} proof"))
        (exceptions if reason is None else equal).append(
            _shown(case, grade) | ({} if reason is None else {"equal": reason})
        )
        if reason is not None:
            kinds[case.kind]["right"] -= 1
            kinds[case.kind]["equal"] += 1
    return {
        "mutants_right": len(exceptions),
        "mutants_equal": len(equal),
        "mutants_total": len(graded),
        "mutants": _sorted(kinds),
        "mutants_exceptions": exceptions,
        "mutants_proved_equal": equal,
    }


def _rewritings(graded: list[tuple[Case, Grade]]) -> dict[str, Any]:
    exceptions = [_shown(case, grade) for case, grade in graded if grade.outcome != "right"]
    return {
        "rewritings_not_right": len(exceptions),
        "rewritings_total": len(graded),
        "rewritings": _sorted(_counts(graded)),
        "rewritings_exceptions": exceptions,
    }


def _counts(graded: list[tuple[Case, Grade]]) -> dict[str, Counter[str]]:
    """How often each outcome was given to each kind."""
    kinds: dict[str, Counter[str]] = {}
    for case, grade in graded:
        kinds.setdefault(case.kind, Counter())[grade.outcome] += 1
    return kinds


def _sorted(kinds: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {kind: dict(sorted((+outcomes).items())) for kind, outcomes in sorted(kinds.items())}


def _shown(case: Case, grade: Grade) -> dict[str, Any]:
    return {**vars(case), **vars(grade)}
