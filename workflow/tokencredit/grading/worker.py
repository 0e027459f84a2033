"""A grading process: reads (gold, answer) lines, writes (outcome, reason, judged) lines, and can be killed at any time.

Started by the pool as a fresh interpreter: it shares no thread, lock or memory with its parent, and imports neither PyTorch nor the
parent's main module. It speaks JSON lines, so that nothing in an answer is ever unpickled.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from typing import TextIO

from tokencredit.grading.graders import GRADERS
from tokencredit.records import DEFAULT


def serve(timeout: float, memory: int, grader: str = DEFAULT) -> None:
    """Answer lines from standard input until it ends.

    ``timeout``: seconds per answer; ``memory``: bytes of address space; ``grader``: one of ``GRADERS``.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints must not pass for a reply
    warnings.simplefilter("ignore")
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(
            ignored, signal.SIG_IGN
        )  # meant for the parent, which may want to end its step; it ends this process itself
    judge = GRADERS[grader].in_worker()
    if sys.platform == "linux":  # elsewhere the limit is not kept
        _limit(resource.RLIMIT_AS, memory)
    _reply(replies, "ready", None, judged=False)
    for line in sys.stdin.buffer:
        gold, answer = json.loads(line)
        _limit_cpu(timeout)
        judged = False
        try:
            outcome, reason = judge(gold, answer)
            judged = True
        except MemoryError:
            outcome, reason = "ungraded", f"grading needed more than {memory // 2**20} MiB of memory"
        # An expression can make SymPy raise anything; that is a failure of the grader, and it is reported as one.
        except Exception as error:  # noqa: BLE001
            outcome, reason = "ungraded", f"the comparison failed: {type(error).__name__}: {str(error)[:200]}"
        _reply(replies, outcome, reason, judged)


def _limit_cpu(timeout: float) -> None:
    """The parent kills a worker that takes too long; should the parent be gone, the kernel does, a little later."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + timeout) + 2)


def _limit(kind: int, value: int) -> None:
    """Set the soft limit, as far as the hard one allows."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _reply(stream: TextIO, outcome: str, reason: str | None, judged: bool) -> None:
    print(json.dumps([outcome, reason, judged]), file=stream, flush=True)
