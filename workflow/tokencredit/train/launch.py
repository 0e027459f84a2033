"""Several processes of one command on this machine, which end together, and the numbers of those that were started in another way.

``accelerate launch`` and torchrun, by which it starts them, can be used instead, and ``srun``, also on several machines. But torchrun hands
on no exit status, and kills a process half a minute after a SIGTERM, before a long step is finished and saved.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import IO, Any

EXIT_ERROR = 2  # a UserError, which has said in a sentence what is wrong
EXIT_STOPPED = 75  # EX_TEMPFAIL: stopped by a signal after a checkpoint; the same command goes on

# What a task of Slurm is told: its numbers, and where `srun` was called, which in a job of the graph is the first of its nodes.
_SLURM = {
    "RANK": "PROCID",
    "LOCAL_RANK": "LOCALID",
    "WORLD_SIZE": "STEP_NUM_TASKS",
    "MASTER_ADDR": "LAUNCH_NODE_IPADDR",
}

_GRACE = 1.0  # seconds in which others may fail for the same reason, or tell the reason


def numbered() -> bool:
    """Whether this process is one of several that were started together. Slurm's numbers are given to one that ``srun`` started."""
    if "RANK" not in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        told = {name: os.environ[f"SLURM_{of_slurm}"] for name, of_slurm in _SLURM.items()}
        port = 20_000 + int(os.environ["SLURM_JOB_ID"]) % 10_000
        os.environ.update({"MASTER_PORT": str(port), **told, **os.environ})
    return "RANK" in os.environ


def launch(command: list[str], processes: int) -> int:
    """Run ``command`` in ``processes`` processes; the exit status of all of them, or of the one that failed, when no other runs any more.

    SIGTERM and SIGUSR1 are passed on to all. Where one fails the others, which would wait for it, are killed. The first alone writes to
    standard output and error; what others wrote is shown if they failed by themselves. A sentence for the user stands alone.
    """
    cores = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(max(1, cores // processes)),
    }
    running: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            before = signal.signal(number, lambda received, _: [each.send_signal(received) for each in running])
            stack.callback(signal.signal, number, before)
        stack.callback(lambda: [(each.kill(), each.wait()) for each in running])
        outputs: list[IO[bytes] | None] = [None]
        outputs += [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, processes)]
        for rank, output in enumerate(outputs):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            pipes: dict[str, Any] = {} if output is None else {"stdout": output, "stderr": subprocess.STDOUT}
            running.append(subprocess.Popen(command, env={**os.environ, **shared, **own}, **pipes))
        failed = _wait(running)
        if not failed:
            return max(each.returncode for each in running)
        return _explain(failed, [running[rank].returncode for rank in failed], outputs)


def _wait(running: list[subprocess.Popen[bytes]]) -> list[int]:
    """Wait for the end of all, or for a failure: the ranks that failed by themselves, the one to blame for it first."""
    while not (failed := _failed(running)):
        if all(each.poll() is not None for each in running):
            return []
        time.sleep(0.1)
    time.sleep(_GRACE)
    # Whoever lost the connection to a process that failed has nothing to say about the reason.
    return sorted(_failed(running), key=lambda rank: (running[rank].returncode != EXIT_ERROR, rank not in failed))


def _failed(running: list[subprocess.Popen[bytes]]) -> list[int]:
    return [rank for rank, each in enumerate(running) if each.poll() not in (None, 0, EXIT_STOPPED)]


def _explain(failed: list[int], statuses: list[int], outputs: list[IO[bytes] | None]) -> int:
    """Show what the failed processes wrote; the exit status of the first of them, as a shell would give it."""
    shown = failed[:1] if statuses[0] == EXIT_ERROR else failed
    for rank in shown:
        output = outputs[rank]
        if output is not None:
            output.seek(0)
            told = output.read().decode(errors="replace")
            sys.stderr.write(told if len(shown) == 1 else f"process {rank} of {len(outputs)}:\n{told}")
    status = statuses[0]
    if status != EXIT_ERROR:
        ended = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        print(f"error: process {failed[0]} of {len(outputs)} ended {ended}; the others were stopped.", file=sys.stderr)
    return 128 - status if status < 0 else status
