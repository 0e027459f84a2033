"""The pool: one grade per pair in order, whatever the answers or the workers do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokencredit.errors import UserError
from tokencredit.grading import Grade, GradingPool, grade, grade_many
from tokencredit.grading import pool as pool_module
from tokencredit.grading.pool import Verdict
from tokencredit.provenance import reached

WORKFLOW = Path(pool_module.__file__).parents[2]
# Equal, which takes SymPy more than a minute.
ENDLESS_GOLD = r"\frac{\sin(512x)}{512\sin x}"
ENDLESS_ANSWER = "".join(rf"\cos({2**power}x)" for power in range(9))
ENDLESS = rf"\boxed{{{ENDLESS_ANSWER}}}"


def box(answer: object) -> str:
    return rf"\boxed{{{answer}}}"


def algebra(number: int) -> str:
    """A number, spelt so that only SymPy can tell that it is this one."""
    return rf"\frac{{{number}\sin(2)}}{{2\sin(1)\cos(1)}}"


def test_order_and_number(pool: GradingPool) -> None:
    pairs = [(str(number % 7), box(rf"\sqrt{{{number % 5}^2}}") if number % 11 else "none") for number in range(300)]
    grades = pool.grade_many(pairs)
    expected = ["wrong" if not number % 11 or number % 7 != number % 5 else "right" for number in range(300)]
    assert [grade.outcome for grade in grades] == expected
    assert pool.grade_many([]) == []


@pytest.mark.slow
def test_functions_without_a_pool() -> None:
    assert grade("5", box("5")) == Grade("right", "5", None)
    assert [result.outcome for result in grade_many([("5", box(algebra(5))), ("5", box(algebra(6)))], workers=1)] == [
        "right",
        "wrong",
    ]


@pytest.mark.slow
def test_an_endless_answer_is_ungraded_and_its_worker_replaced() -> None:
    with GradingPool(workers=2, timeout=3) as pool:
        pool.grade("5", box(algebra(5)))
        grades = pool.grade_many(
            [
                ("1", box(algebra(1))),
                (ENDLESS_GOLD, ENDLESS),
                ("2", box(algebra(2))),
                ("5", box("9!!!!!!")),
                ("3", box(algebra(3))),
            ]
        )
        assert [grade.outcome for grade in grades] == ["right", "ungraded", "right", "ungraded", "right"]
        assert grades[1] == Grade("ungraded", ENDLESS_ANSWER, "grading took longer than 3 s")
        assert pool.grade("7", box(algebra(7))).outcome == "right"


@pytest.mark.slow
def test_copies_of_an_endless_answer_cost_one_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    expired: list[tuple[str, str]] = []
    expire = pool_module._Worker.expire
    monkeypatch.setattr(pool_module._Worker, "expire", lambda self: expired.append(self._key) or expire(self))
    with GradingPool(workers=2, timeout=3) as pool:
        pairs = [(ENDLESS_GOLD, f"{number}: {ENDLESS}") for number in range(10)] + [("5", box(algebra(5)))]
        grades = pool.grade_many(pairs)
        assert [grade.outcome for grade in grades] == ["ungraded"] * 10 + ["right"]
        assert {grade.reason for grade in grades[:10]} == {"grading took longer than 3 s"}
        assert expired == [(ENDLESS_GOLD, ENDLESS_ANSWER)]
        assert list(pool._known) == [("5", algebra(5))], "a time-out is no verdict"
        assert pool.grade(ENDLESS_GOLD, ENDLESS).outcome == "ungraded"
        assert len(expired) == 2, "another call tries again"


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    with GradingPool(workers=1, timeout=5, memory=2**29) as pool:
        pool.grade("5", box(algebra(5)))
        (pid,) = _worker_pids(pool)
        limit = re.search(r"Max address space +(\d+)", Path(f"/proc/{pid}/limits").read_text())
        assert int(limit[1]) == 2**29


@pytest.mark.slow
def test_a_failure_of_the_grader_is_no_verdict() -> None:
    code = (
        "from tokencredit.grading import judge, worker;"
        "judge.judge = lambda gold, answer: ('right', str(1 // int(answer)));"
        "worker.serve(10, 2**31)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input='["5", "1"]\n["5", "0"]\n',
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)},
    )
    _, judged, failed = map(json.loads, done.stdout.splitlines())
    assert judged == ["right", "1", True]
    assert (failed[0], failed[2]) == ("ungraded", False)
    assert failed[1].startswith("the comparison failed: ZeroDivisionError")


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        "__import__('os').system('touch TOUCHED')",
        "().__class__.__bases__[0].__subclasses__()",
        'eval(\'open("TOUCHED", "w")\')',
        r"\text{__import__('os').system('touch TOUCHED')}",
        r"\operatorname{exec}('open(\"TOUCHED\",\"w\")')",
        "lambda: open('TOUCHED','w')",
        "5\0",
        "\x1b[2J",
        "\ud800",
        "{" * 120 + "}" * 120,
        "(" * 120 + "5" + ")" * 120,
        r"\frac{" * 120 + "1" + "}{2}" * 120,
        r"\left(" * 300,
        "9" * 1999,
        "^" * 300,
        "5" * 100_000,
        "\n" * 500 + "6",
        r"\begin{pmatrix}" * 50,
    ],
)
def test_hostile_answers(pool: GradingPool, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with GradingPool(workers=1) if "TOUCHED" in answer else pool as graders:
        found = graders.grade("5", box(answer))
    assert found.outcome in {"wrong", "ungraded"}
    assert found.reason is not None or found.outcome == "wrong"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_million_braces(pool: GradingPool) -> None:
    assert pool.grade("5", r"\boxed{" + "{" * 10**6).outcome == "wrong"
    assert pool.grade("5", "{" * 10**6 + box(algebra(5))).outcome == "right"


def test_off_the_main_thread(pool: GradingPool) -> None:
    found: list[list[Grade]] = []
    threads = [
        threading.Thread(
            target=lambda k=k: found.append(
                pool.grade_many([(str(n), box(rf"\sqrt{{{n}^2}}")) for n in range(k, k + 20)])
            )
        )
        for k in (1000, 2000, 3000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3
    assert all(grade.outcome == "right" for grades in found for grade in grades)


def _worker_pids(pool: GradingPool) -> list[int]:
    return [worker._process.pid for worker in pool._idle]


@pytest.mark.slow
def test_workers_are_lazy_stay_and_are_closed() -> None:
    pool = GradingPool(workers=2)
    assert pool.grade("5", "no box").outcome == "wrong"
    assert not pool._idle
    pool.grade("5", box(algebra(5)))
    (first,) = _worker_pids(pool)
    assert pool.grade("6", box(algebra(6))).outcome == "right"
    assert _worker_pids(pool) == [first]
    pool.close()
    assert not Path(f"/proc/{first}").exists()
    assert pool.grade("7", box(algebra(7))).outcome == "right"
    pool.close()


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_one_answer() -> None:
    with GradingPool(workers=1, timeout=60) as pool:
        pool.grade("5", box(algebra(5)))
        (pid,) = _worker_pids(pool)
        killer = threading.Timer(1.0, os.kill, (pid, signal.SIGKILL))
        killer.start()
        lost, next_ = pool.grade_many([(ENDLESS_GOLD, ENDLESS), ("9", box(algebra(9)))])
        assert lost == Grade("ungraded", ENDLESS_ANSWER, "the grading process died (signal 9)")
        assert next_.outcome == "right"


@pytest.mark.slow
def test_a_worker_that_is_killed_while_idle_costs_nothing() -> None:
    with GradingPool(workers=1) as pool:
        pool.grade("5", box(algebra(5)))
        (pid,) = _worker_pids(pool)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        assert pool.grade("8", box(algebra(8))).outcome == "right"


@pytest.mark.slow
def test_signals_for_the_parent_do_not_reach_the_answer() -> None:
    with GradingPool(workers=1) as pool:
        pool.grade("5", box(algebra(5)))
        (pid,) = _worker_pids(pool)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(pid, number)
        assert pool.grade("8", box(algebra(8))).outcome == "right"
        assert os.getpgid(pid) != os.getpgid(0)


def test_equal_pairs_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[tuple[str, str]] = []

    def judge(self: GradingPool, keys: list[tuple[str, str]], progress: bool) -> dict[tuple[str, str], Verdict]:
        judged.extend(keys)
        return {key: Verdict("right", None, judged=True) for key in keys}

    monkeypatch.setattr(GradingPool, "_judge", judge)
    monkeypatch.setattr(pool_module, "MEMORY_OF_GRADES", 3)
    pool = GradingPool()
    pool.grade_many([("5", box(algebra(5))), ("5", "again " + box(algebra(5))), ("6", box(algebra(6)))])
    assert judged == [("5", algebra(5)), ("6", algebra(6))]
    pool.grade_many([("5", box(algebra(5))), ("7", box(algebra(7))), ("8", box(algebra(8)))])
    assert judged[2:] == [("7", algebra(7)), ("8", algebra(8))]
    assert list(pool._known) == [("5", algebra(5)), ("7", algebra(7)), ("8", algebra(8))], (
        "the pair used longest ago is forgotten"
    )


GOLDS = ["5", "1,000", r"\frac{1}{2}", "x+1", r"(1,\infty)", r"\text{east}", "12:00", ""]
RESPONSES = [
    *map(box, ["5", "1000", "0.5", r"\dfrac12", "1+x", "(1, 2)", "east", "12:00", r"\frac", "", "1/0", "9" * 3000]),
    *("no box", r"\boxed{5", "<think>" + box("5")),
]
PAIRS = st.tuples(st.sampled_from(GOLDS), st.sampled_from(RESPONSES), st.sampled_from(["", "So it is ", "</think>"]))


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(PAIRS, max_size=20))
def test_copies_are_graded_as_each_on_its_own(pool: GradingPool, drawn: list[tuple[str, str, str]]) -> None:
    pairs = [(gold, before + response) for gold, response, before in drawn]
    alone = []
    for pair in pairs:
        pool._known.clear()
        alone.append(pool.grade(*pair))
    pool._known.clear()
    assert pool.grade_many(pairs) == alone
    assert pool.grade_many(pairs[::-1]) == alone[::-1], "and so from memory"


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="workers = 0"):
        GradingPool(workers=0)
    with pytest.raises(UserError, match="timeout = 0"):
        GradingPool(timeout=0)


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_SOURCES", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(pool_module.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="did not start: the grading process died"):
        GradingPool().grade("5", box(algebra(5)))


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)},
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_the_parent_stays_light() -> None:
    heavy = "[name for name in ('sympy', 'math_verify', 'torch', 'pandas', 'transformers') if name in sys.modules]"
    start = "import sys; from tokencredit.grading import grade;"
    assert _python(f"{start} print({heavy})") == "[]"
    assert _python(f"{start} grade('5', r'\\boxed{{5}}'); print({heavy})") == "[]"


@pytest.mark.slow
def test_workers_end_with_their_parent() -> None:
    code = (
        f"import os, signal; from tokencredit.grading import GradingPool; pool = GradingPool(); pool.grade('5', r'{box(algebra(5))}');"
        "print(pool._idle[0]._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)},
    )
    deadline = time.monotonic() + 10
    while Path(f"/proc/{int(done.stdout)}/cmdline").exists() and Path(f"/proc/{int(done.stdout)}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_code_digests_see_what_workers_run() -> None:
    """A run is made again when its grader changes, although the grader is not imported by the process that trains."""
    names = {node.module.rpartition(".")[2] for node in reached("grading.pool").nodes}
    assert {"pool", "extract", "worker", "judge", "grammar", "algebra"} <= names
    assert "audit" not in names
