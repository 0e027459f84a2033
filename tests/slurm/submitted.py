"""``snakemake --profile slurm`` in a copy of the project, and what Slurm says about its jobs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.workflow.project import Project

T = TypeVar("T")
RUN = "results/smoke/runs/grpo/seed0"
STUDY = "config/studies/smoke.yaml"
USER = "games"  # not root; cluster.sh gives it an account
# As typed, but for the study (the profile's is the paper's) and the time between two looks at the queue.
SNAKEMAKE = [sys.executable, str(Path(__file__).with_name("impatient.py")), "--config", "study=smoke"]
COMMAND = [*SNAKEMAKE, "--profile", "slurm"]


@dataclass(frozen=True)
class SlurmJob:
    """A line of squeue."""

    id: str
    state: str
    reason: str
    memory: str
    limit: str
    comment: str
    folder: str


class Submitted:
    """A ``snakemake --profile slurm`` under way; ``started`` says to Popen as whom, and with which environment."""

    def __init__(
        self,
        project: Project,
        *targets: str,
        command: Sequence[str] = COMMAND,
        options: Sequence[str] = (),
        **started: Any,
    ) -> None:
        self.project = project
        project.folder.joinpath("said").mkdir(exist_ok=True)
        self.output = project.folder / f"said/{time.monotonic_ns()}"
        with self.output.open("w", encoding="utf-8") as file:
            # A shell ignores SIGINT in what it starts in the background, and a child inherits that.
            self.process = subprocess.Popen(
                [*command, *options, "--", *targets],
                cwd=project.folder,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                **started,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait(self, status: int = 0) -> str:
        """Everything it said, when it has ended with ``status``."""
        assert self.process.wait(timeout=900) == status, self.said
        return self.said

    def interrupt(self) -> None:
        """Ctrl-C, and another one where the first is not heard: Snakemake has gone on after one as if nothing had been pressed."""
        for _ in range(4):
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                continue
            return

    def jobs(self, rule: str = "") -> list[SlurmJob]:
        """Its Slurm jobs in the order of submission, ended ones included."""
        shown = subprocess.run(
            ["squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%r|%m|%l|%k|%Z"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        every = [SlurmJob(*line.split("|")) for line in shown.splitlines()]
        return [job for job in every if job.folder == str(self.project.folder) and f"rule_{rule}" in job.comment]

    def held(self) -> SlurmJob:
        """The job of the run ``RUN``, whose trainer is stopped at its first checkpoint, so that nothing that follows comes too late.

        It moves again by ``go_on``, and when Slurm warns it or ends its job: both begin with a SIGCONT.
        """
        self.until(lambda: list(self.project.folder.glob(f"{RUN}/work/*/checkpoints/step-*")))
        os.kill(self.trainer(), signal.SIGSTOP)
        return self.jobs("train")[-1]

    def go_on(self) -> None:
        os.kill(self.trainer(), signal.SIGCONT)

    def trainer(self) -> int:
        """The process that trains."""
        lock = self.project.folder / RUN / ".lock"
        return int(json.loads(lock.read_text(encoding="utf-8"))["pid"])

    def until(self, holds: Callable[[], T]) -> T:
        """Wait for something, which has to be so before snakemake ends."""
        while not (found := holds()):
            assert self.process.poll() is None, self.said
            time.sleep(0.2)
        return found


def can_run_python(user: str) -> bool:
    """Whether ``user`` can run the Python of these tests. One below /root is root's alone."""
    try:
        subprocess.run([sys.executable, "-c", ""], user=user, group=user, extra_groups=[], check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def scontrol(*arguments: str) -> str:
    return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, check=True).stdout


def said_of(job: str) -> set[str]:
    """What Slurm knows about a job, word by word."""
    return set(scontrol("show", "job", job).split())


def occupy(*needs: str) -> str:
    """The number of a job that does nothing and ``needs`` something of Slurm, until it is cancelled."""
    command = ["sbatch", "--parsable", "--output=/dev/null", "--mem=100", *needs, "--wrap=exec sleep 600"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def accounted(job: str) -> list[str]:
    """How each try of ``job`` ended, or what it does, by Slurm's accounts."""
    command = ["sacct", "--noheader", "--allocations", "--duplicates", "--parsable2", "--format=State", f"--jobs={job}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def restarts(job: str) -> int:
    """How often Slurm has put ``job`` back into the queue."""
    (word,) = [word for word in scontrol("show", "job", job).split() if word.startswith("Restarts=")]
    return int(word.removeprefix("Restarts="))


def metrics(project: Project) -> bytes:
    return (project.folder / RUN / "metrics.jsonl").read_bytes()


def saved(project: Project) -> list[str]:
    """How long each step of the run ``RUN`` took up to its newest checkpoint, as recorded: what a run from the start would not repeat."""
    newest = max(project.folder.glob(f"{RUN}/work/*/checkpoints/step-*"))
    lines = (newest.parents[1] / "timing.jsonl").read_text(encoding="utf-8").splitlines()
    return lines[: int(newest.name.removeprefix("step-"))]


def goes_on_from(saved: list[str], project: Project) -> bool:
    """Whether the finished run ``RUN`` holds the very steps that were ``saved``, and more."""
    lines = (project.folder / RUN / "timing.jsonl").read_text(encoding="utf-8").splitlines()
    return 0 < len(saved) < len(lines) and lines[: len(saved)] == saved


def at_home(project: Project, folder: Path) -> Project:
    """A copy of ``project`` that holds its results itself."""
    copy = project.copy(folder)
    results = copy.folder / "results"
    elsewhere = results.readlink()
    results.unlink()
    shutil.copytree(elsewhere, results)
    return copy


def to_be_trained(project: Project, steps: int = 3, **needs: int | str) -> Project:
    """``project`` without its run ``RUN``, which then takes so many steps and asks for ``needs``."""
    asked = ", ".join(f"{key}: {value}" for key, value in {"mem_mb": 1500, "runtime": 10, **needs}.items())
    project.replace(STUDY, "  train: {mem_mb: 1500, runtime: 10}", f"  train: {{{asked}}}")
    project.replace(STUDY, "  steps: 3\n", f"  steps: {steps}\n")
    subprocess.run(["rm", "-r", project.folder / RUN], check=True)
    return project
