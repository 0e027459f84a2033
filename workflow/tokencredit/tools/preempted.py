"""Slurm jobs that are preempted for good: Snakemake's plugin for Slurm waits for them without end."""

from __future__ import annotations

import subprocess
from logging import Logger
from types import ModuleType


def fail_preempted(plugin: ModuleType) -> None:
    """Let ``plugin``, snakemake_executor_plugin_slurm, take a preempted job that is not in the queue again for failed.

    Most partitions requeue what they preempt, and the plugin waits for every preempted job. Where ``PreemptMode`` is CANCEL, and where a
    job may not be requeued, it ends as PREEMPTED.
    """
    ask = plugin.query_job_status
    ended: set[str] = set()

    async def asked(command: str, logger: Logger) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(command, logger)
        for job in [job for job, state in (states or {}).items() if state == "PREEMPTED"]:
            if job not in ended and _is_ended(job):
                ended.add(job)
                logger.error(
                    f"Slurm job {job} was preempted and cancelled: Slurm does not start it again, so it has failed."
                )
            if job in ended:
                states[job] = "CANCELLED"
        return states, seconds

    plugin.query_job_status = asked


def _is_ended(job: str) -> bool:
    """Whether the queue has a job as preempted or not at all. In the accounts a job's last try is preempted until its next one begins."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.strip() == "PREEMPTED" or "Invalid job id" in said.stderr
