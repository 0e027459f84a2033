"""Grading in processes that can be killed: exactly one grade per pair, in order, whatever the answers do.

A worker is a separate interpreter behind two pipes. The limit is wall time, kept by the parent: no signal handler is involved, so it works
in any thread and beside PyTorch's. A worker that exceeds it, or dies, is killed and replaced, and its answer is ungraded.

Responses to one question repeat a few answers, so each different (gold, answer) is judged once. What the grader can tell at once, in
bounded time, it tells here; the rest goes to a worker: ten copies of an answer that hangs cost one time limit, and all are ungraded.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from tokencredit.errors import UserError
from tokencredit.grading import worker
from tokencredit.grading.extract import MAX_ANSWER, Extraction, extract_answer
from tokencredit.grading.graders import Outcome, grader_named
from tokencredit.records import DEFAULT

TIMEOUT = 10.0  # seconds of wall time per answer; a usual one takes milliseconds
MEMORY = 2 * 2**30  # bytes of address space per worker
START_TIMEOUT = 120.0  # seconds until a worker has imported SymPy
MEMORY_OF_GRADES = 100_000  # pairs whose verdict a pool remembers: some 30 MB of usual answers

Pair = tuple[str, str]  # a gold and an extracted answer

_SOURCES = Path(__file__).parents[2]


@dataclass(frozen=True)
class Grade:
    """The verdict on one response.

    ``outcome``: "right", "wrong" or "ungraded". ``answer``: the text in the box, None if there is none. ``reason``: a sentence, always
    there for "ungraded"; for the others only where it says more than the outcome.
    """

    outcome: Outcome
    answer: str | None
    reason: str | None


class Verdict(NamedTuple):
    """What became of a pair in a worker. ``judged``: False where the grader failed, which says nothing about the next attempt."""

    outcome: Outcome
    reason: str | None
    judged: bool


class GradingPool:
    """Workers that stay alive between calls. A context manager; nothing is started before the first answer that needs a worker.

    Equal (gold, answer) pairs are judged once per call, and once in the pool's life while they are among the ``MEMORY_OF_GRADES`` used
    last; but a time-out, a crash or another failure of the grader is forgotten when its call ends. May be used from any thread; calls from
    several threads take turns.
    """

    def __init__(self, workers: int = 1, timeout: float = TIMEOUT, memory: int = MEMORY, grader: str = DEFAULT) -> None:
        """``workers``: processes; ``timeout``: seconds of wall time per answer; ``memory``: bytes of address space per worker.

        ``grader``: one of ``GRADERS``; another name is a ``UserError``.
        """
        if workers < 1 or timeout <= 0:
            raise UserError(
                f"grading needs at least 1 worker and a timeout above 0 seconds; workers = {workers}, timeout = {timeout}."
            )
        self.workers, self.timeout, self.memory, self.grader = workers, timeout, memory, grader
        self._at_once = grader_named(grader).at_once
        self._idle: list[_Worker] = []
        self._known: OrderedDict[Pair, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. The pool may be used again; it then starts new ones."""
        with self._lock:
            while self._idle:
                self._idle.pop().kill()

    @property
    def label(self) -> str:
        """The grader's name and version, as grades record it."""
        return grader_named(self.grader).label()

    def grade(self, gold: str, response: str) -> Grade:
        return self.grade_many([(gold, response)])[0]

    def grade_many(self, pairs: Iterable[tuple[str, str]], progress: bool = False) -> list[Grade]:
        """One grade per (gold, response), in order. ``progress`` shows a bar on standard error."""
        pairs = list(pairs)
        extractions = [extract_answer(response) for _, response in pairs]
        keys = [
            (gold, extraction.answer)
            if extraction.answer is not None and len(extraction.answer) <= MAX_ANSWER
            else None
            for (gold, _), extraction in zip(pairs, extractions, strict=True)
        ]
        with self._lock:
            wanted = [key for key in dict.fromkeys(keys) if key is not None]
            verdicts = {key: self._known[key] for key in wanted if key in self._known}
            left = [key for key in wanted if key not in verdicts]
            verdicts |= {key: Verdict(*found, judged=True) for key in left if (found := self._at_once(*key))}
            verdicts |= self._judge([key for key in left if key not in verdicts], progress)
            self._remember(verdicts)
        return [
            Grade(verdicts[key].outcome, extraction.answer, verdicts[key].reason)
            if key is not None
            else _without_worker(extraction)
            for key, extraction in zip(keys, extractions, strict=True)
        ]

    def _ready(self) -> _Worker:
        """An idle worker that still lives, or a new one."""
        while self._idle:
            idle = self._idle.pop()
            if idle.alive():
                return idle
            idle.kill()
        return _Worker(self.timeout, self.memory, self.grader)

    def _remember(self, verdicts: dict[Pair, Verdict]) -> None:
        for key, verdict in verdicts.items():
            if verdict.judged:
                self._known[key] = verdict
                self._known.move_to_end(key)
        while len(self._known) > MEMORY_OF_GRADES:
            self._known.popitem(last=False)

    def _judge(self, keys: Sequence[Pair], progress: bool) -> dict[Pair, Verdict]:
        """Verdicts of the workers on different pairs."""
        verdicts: dict[Pair, Verdict] = {}
        pending = deque(keys)
        busy: list[_Worker] = []
        with _bar(len(keys) if progress else 0) as advance, contextlib.ExitStack() as on_error:
            on_error.callback(lambda: [each.kill() for each in busy])
            while pending or busy:
                while pending and len(busy) < self.workers:
                    busy.append(self._ready())
                    busy[-1].send(pending.popleft())
                for done in _wait(busy):
                    busy.remove(done)
                    key, verdict, alive = done.take()
                    verdicts[key] = verdict
                    advance(1)
                    if alive:
                        self._idle.append(done)
        return verdicts


def _without_worker(extraction: Extraction) -> Grade:
    if extraction.answer is None:
        return Grade("wrong", None, extraction.reason)
    length = len(extraction.answer)
    return Grade(
        "ungraded",
        extraction.answer[:MAX_ANSWER],
        f"the boxed answer has {length} characters; at most {MAX_ANSWER} are read",
    )


class _Worker:
    """One process and the pair that it is at."""

    def __init__(self, timeout: float, memory: int, grader: str) -> None:
        self.timeout = timeout
        command = f"from {worker.__name__} import serve; serve({float(timeout)!r}, {int(memory)!r}, {grader!r})"
        path = os.pathsep.join(filter(None, [str(_SOURCES), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent
        )
        self._buffer = b""
        self._started = False
        self._key: Pair | None = None
        self._verdict: Verdict | None = None
        self.deadline = time.monotonic() + START_TIMEOUT

    @property
    def fileno(self) -> int:
        return self._process.stdout.fileno()

    def send(self, key: Pair) -> None:
        """Hand over a pair. A line is shorter than a pipe's buffer, so this never blocks; a dead worker is noticed when it is read."""
        self._key, self._verdict = key, None
        if self._started:
            self.deadline = time.monotonic() + self.timeout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(key).encode() + b"\n")

    def read(self) -> bool:
        """Read what has come; True if the pair is settled."""
        received = os.read(self.fileno, 65536)
        if not received:
            status = self._process.wait()
            self._fail(f"the grading process died ({f'signal {-status}' if status < 0 else f'exit status {status}'})")
            return True
        self._buffer += received
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            if self._started:
                self._verdict = Verdict(*json.loads(line))
                return True
            self._started = True
            self.deadline = time.monotonic() + self.timeout
        return False

    def expire(self) -> None:
        self._fail(f"grading took longer than {self.timeout:g} s")

    def _fail(self, reason: str) -> None:
        self.kill()
        if not self._started:
            raise UserError(f"a grading process did not start: {reason}. What it printed stands above.")
        self._verdict = Verdict("ungraded", reason, judged=False)

    def alive(self) -> bool:
        return self._process.poll() is None

    def take(self) -> tuple[Pair, Verdict, bool]:
        """The pair, its verdict, and whether the worker lives on."""
        return self._key, self._verdict, self.alive()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def _wait(busy: list[_Worker]) -> list[_Worker]:
    """Workers whose pair is settled, by a reply, a death or the limit. May be none yet."""
    with selectors.DefaultSelector() as selector:
        for each in busy:
            selector.register(each.fileno, selectors.EVENT_READ, each)
        ready = selector.select(max(0.0, min(each.deadline for each in busy) - time.monotonic()))
    done = [key.data for key, _ in ready if key.data.read()]
    now = time.monotonic()
    for each in busy:
        if each not in done and now >= each.deadline:
            each.expire()
            done.append(each)
    return done


@contextlib.contextmanager
def _bar(total: int) -> Any:
    if not total:
        yield lambda _: None
        return
    from tokencredit.progress import bar

    with bar("grading", total) as shown:
        yield shown.update


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grade_many(
    pairs: Iterable[tuple[str, str]],
    workers: int | None = None,
    timeout: float = TIMEOUT,
    progress: bool = False,
    grader: str = DEFAULT,
) -> list[Grade]:
    """One grade per (gold, response), in order, from a pool of its own. ``workers``: processes, by default one per core."""
    with GradingPool(workers or available_cores(), timeout, grader=grader) as pool:
        return pool.grade_many(pairs, progress)


_single: dict[str, GradingPool] = {}
_single_lock = threading.Lock()


def grade(gold: str, response: str, grader: str = DEFAULT) -> Grade:
    """The grade of one response. As safe as `grade_many`: each grader has a pool of one worker that is kept until the interpreter ends."""
    with _single_lock:
        if grader not in _single:
            _single[grader] = GradingPool(workers=1, grader=grader)
            atexit.register(_single[grader].close)
    return _single[grader].grade(gold, response)
