"""A run that Slurm stops before the job's time limit puts that job back into the queue, to go on from its checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys


def requeue_job() -> bool:
    """Put the Slurm batch job that this process belongs to back into the queue; whether Slurm did that, with a sentence either way.

    Not outside Slurm, and not a job that Slurm is ending already: one that was cancelled stays so, and one that was preempted or requeued
    comes back by itself.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or _ask("squeue", "--noheader", "--jobs", job, "--format=%T").stdout.strip() != "RUNNING":
        return False
    answer = _ask("scontrol", "requeue", job)
    done = answer.returncode == 0
    said = "is in the queue again" if done else f"cannot be requeued: {answer.stderr.strip()}"
    print(f"Slurm job {job} {said}", file=sys.stderr, flush=True)
    return done


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
