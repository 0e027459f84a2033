"""What Snakemake would run, and ``tokencredit dry-run``: every study's graph held against its configuration.

Neither a dry run nor this module imports a package that computes: both work without torch.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tokencredit import cli
from tokencredit.config import Config, Study
from tokencredit.errors import UserError
from tokencredit.study.jobs import RULES, jobs_of


@dataclass(frozen=True)
class DryJob:
    """A job that would run: its rule, its files, and why it would run."""

    rule: str
    outputs: tuple[str, ...]
    log: str
    reason: str


def check_studies() -> None:
    """Print the jobs of every study. Raises ``UserError`` where the graph and the configuration do not say the same."""
    started = time.monotonic()
    loaded = Config("config")
    studies = [loaded.study(name) for name in loaded.study_names]
    # Imported once, before the processes of the studies split off: half of the time of a small study is the import.
    import snakemake.cli  # noqa: F401

    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0)), maxtasksperchild=1) as pool:
        found = pool.map(_timed, loaded.study_names, chunksize=1)
    print(_table([_line(study, jobs, seconds) for study, (jobs, seconds) in zip(studies, found, strict=True)]))
    print(f"{len(studies)} studies in {time.monotonic() - started:.1f} s")
    wrong = [
        f"{study.name}: {sentence}"
        for study, (jobs, _) in zip(studies, found, strict=True)
        for sentence in differences(study, jobs)
    ]
    if wrong:
        raise UserError("the graph is not what the configuration says: " + " ".join(wrong))


def dry_run(study: str, *arguments: str) -> list[DryJob]:
    """The jobs that ``snakemake --config study=…`` would run now; ``arguments`` are added to its command.

    Raises ``UserError`` with what Snakemake said where it refuses.
    """
    command = [sys.executable, "-m", "snakemake", *_options(study), *arguments]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return _jobs_or_error(study, done.stdout, failed=done.returncode != 0)


def jobs_in(text: str) -> list[DryJob]:
    """The jobs that a dry run prints; targets without files of their own are none."""
    blocks = re.split(r"^(?:local)?rule ", text, flags=re.MULTILINE)[1:]
    jobs = [
        DryJob(
            rule=block[: block.index(":")],
            outputs=tuple(_part(block, "output").split(", ")),
            log=_part(block, "log"),
            reason=_part(block, "reason"),
        )
        for block in blocks
    ]
    return [job for job in jobs if job.outputs != ("",)]


def differences(study: Study, jobs: Iterable[DryJob]) -> list[str]:
    """Sentences about the jobs of the whole study that its configuration has and the graph has not, and the other way round."""
    expected = Counter((unit.rule, frozenset(unit.outputs), unit.log) for unit in jobs_of(study))
    found = Counter((job.rule, frozenset(job.outputs), job.log) for job in jobs)
    sides = (
        ("asks for", "the graph does not make it", expected - found),
        ("knows nothing of", "the graph makes it", found - expected),
    )
    return [
        f"the configuration {verb} {rule} {' '.join(sorted(outputs))} (log {log}), and {but}."
        for verb, but, side in sides
        for rule, outputs, log in side
    ]


def _part(block: str, name: str) -> str:
    found = re.search(rf"^    {name}: (.*)$", block, flags=re.MULTILINE)
    return found[1] if found else ""


def _options(study: str) -> list[str]:
    # `--printshellcmds` has every command formatted too: a wildcard that is not there is found before the job that needs it.
    return ["--dry-run", "--quiet", "host", "--printshellcmds", "--cores", "1", "--config", f"study={study}"]


def _jobs_or_error(study: str, said: str, failed: bool) -> list[DryJob]:
    if failed:
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        raise UserError(errors[0].removeprefix("error: ") if errors else f"{study}: the dry run failed:\n{said}")
    return jobs_in(said)


def _timed(study: str) -> tuple[list[DryJob], float]:
    """The jobs of the whole study, and the seconds that it took. For a process of its own, whose output and state Snakemake takes over."""
    from snakemake.cli import main

    started = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        try:
            main([*_options(study), "--forceall"])
            status: object = None
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        said.seek(0)
        # What Python prints for `sys.exit("a sentence")` at the end of a process.
        text = said.read() + (status if isinstance(status, str) else "")
    return _jobs_or_error(study, text, failed=status not in (None, 0)), time.monotonic() - started


def _line(study: Study, jobs: list[DryJob], seconds: float) -> list[str]:
    counts = Counter(job.rule for job in jobs)
    files = sum(len(job.outputs) for job in jobs)
    generations = len(study.rows) * sum(use.problems * use.samples for use in study.benchmarks.values())
    numbers = [*(counts[rule] for rule in RULES), len(jobs), files, generations]
    return [study.name, *(f"{number:,}" for number in numbers), f"{seconds:.1f}"]


def _table(lines: list[list[str]]) -> str:
    lines = [["study", *RULES, "jobs", "files", "generations", "seconds"], *lines]
    return cli.columns(lines)
