"""A copy of the project in which tests run Snakemake, and what a run or dry run of it said."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import forks
from tokencredit.tools.dry_run import DryJob, jobs_in

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "envs", "profiles", "slurm", "workflow")


@dataclass(frozen=True)
class Project:
    """A folder with the project's files, and with results of its own."""

    folder: Path

    def run(
        self, *arguments: str, cores: int = 2, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``snakemake`` with the profile that it finds; its two streams come back as one text in ``stdout``."""
        return self._said(["-m", "snakemake", "--cores", str(cores), *arguments], {**os.environ, **(environment or {})})

    def python(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Python with this project's own package and these environment variables; both streams come back as one text in ``stdout``."""
        return self._said(arguments, {**os.environ, "PYTHONPATH": str(self.folder / "workflow"), **settings})

    def _said(self, arguments: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [forks.python(), *arguments]
        return subprocess.run(command, cwd=self.folder, text=True, env=environment, check=False, **streams)

    def make(self, *arguments: str) -> None:
        """Run, and fail with everything that was said if that does not end well."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout

    def kill(self, *arguments: str, once: Callable[[], object], seconds: float = 120) -> None:
        """Run, and kill -9 snakemake and its jobs ``once`` something is the case, which has to be so in ``seconds``."""
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = subprocess.Popen(command, cwd=self.folder, start_new_session=True, **quiet)
        try:
            deadline = time.monotonic() + seconds
            while not once():
                assert time.monotonic() < deadline, "the moment to kill it did not come"
                assert started.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
        finally:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()

    def jobs(self, *arguments: str) -> list[DryJob]:
        """The jobs of a dry run, targets without files of their own left out."""
        done = self.run("--dry-run", "--printshellcmds", *arguments)
        assert done.returncode == 0, done.stdout
        return jobs_in(done.stdout)

    def rerun(self, *arguments: str) -> set[str]:
        """The first outputs of the jobs of a dry run."""
        return {job.outputs[0] for job in self.jobs(*arguments)}

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a", encoding="utf-8") as file:
            file.write(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path) -> Project:
        """The same files and results elsewhere, times included, so that nothing is out of date there."""
        passing = shutil.ignore_patterns("*.pyc.*", "*.json.*")  # what another process is about to rename
        shutil.copytree(self.folder, folder, symlinks=True, ignore=passing)
        return Project(folder)


def new_project(folder: Path) -> Project:
    """The project's own files without any results."""
    folder.mkdir(parents=True)
    for name in PARTS:
        source = ROOT / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.pyc.*", "*.json.*", "*.egg-info"))
        else:
            shutil.copy2(source, folder / name)
    return Project(folder)
