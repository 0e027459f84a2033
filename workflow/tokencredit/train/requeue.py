"""A run that Slurm stops before the job's time limit puts that job back into the queue, to go on from its checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
import time

_PAUSE = 5.0  # seconds


def requeue_job() -> bool:
    """Put the Slurm batch job that this process belongs to back into the queue; whether Slurm did that, with a sentence either way.

    Not outside Slurm, and not a job that Slurm is ending already: one that was cancelled stays so, and one that was preempted or requeued
    comes back by itself.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    try:
        state = _ask("squeue", "--noheader", "--jobs", job, "--format=%T").strip()
        if state == "RUNNING":
            _ask("scontrol", "requeue", job)
            said = "is in the queue again"
        else:
            said = f"is {state or 'no more'} and left to Slurm"
    except (OSError, subprocess.CalledProcessError) as error:
        state = ""
        said = f"cannot be requeued: {getattr(error, 'stderr', None) or error}".strip()
    print(f"Slurm job {job} {said}", file=sys.stderr, flush=True)
    return state == "RUNNING"


def _ask(*command: str, tries: int = 5) -> str:
    """What a command of Slurm says. Its controller may be busy: where the command fails it is given again."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError:
        if tries == 1:
            raise
        time.sleep(_PAUSE)
        return _ask(*command, tries=tries - 1)
