"""``tokencredit watch --page``: the page of a study while it runs, written again and again from its files.

It stands in a folder of its own (``analysis.page.so_far``), so that Snakemake makes the study's page as ever. When that is there it takes
the other's place too, where a browser may have it open.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

from tokencredit import cli, files
from tokencredit.analysis.page import overview
from tokencredit.analysis.page.so_far import RunLine, available, folder_of, some_points
from tokencredit.analysis.page.write import write_so_far
from tokencredit.config import Study, load_study
from tokencredit.study.jobs import jobs_of
from tokencredit.study.paths import Paths
from tokencredit.tools.status import State
from tokencredit.tools.watch import Progress, runs_of

_SHOWN = ("table", "figure", "report")  # the rules whose files make a study finished
# The states in which a sentence counts runs, and its words.
_WORDS = {
    State.RUNNING: "training",
    State.STARTED: "about to train",
    State.FAILED: "failed",
    State.STOPPED: "stopped",
    State.WAITING: "waiting",
}


def watch_page(study: str, config: Path, results: Path, every: float, once: bool) -> None:
    """Write the page every so many seconds until the study's own is there, or Ctrl-C; ``once``: write it and end.

    Each is written by a process of its own, which keeps nothing of what it has read. A page that cannot be written is tried again.
    """
    resolved = load_study(config, study)
    if once:
        write_page(resolved, results)
        return
    command = [sys.executable, "-m", "tokencredit", "watch", "--study", study, "--page", "--once"]
    command += ["--config", str(config), "--results", str(results)]
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            last = is_finished(resolved, results)
            subprocess.run(command, check=False)
            if last:
                return
            time.sleep(every)


def write_page(study: Study, results: Path) -> None:
    """Write the page of a study as far as its files go, of a finished study its own page, byte for byte; and the list of studies."""
    paths = Paths(study, results)
    out = folder_of(paths) / "index.html"
    if is_finished(study, results):
        with files.atomic_path(out) as temporary:
            temporary.write_bytes(paths.page.read_bytes())
    else:
        found = runs_of(study, results)
        lines = [_line(study, each) for each in found if each.state != State.WAITING]
        there = available(study, results, f"{datetime.now():%Y-%m-%d %H:%M}: {said(study, found)}", lines)
        write_so_far(there, out)
        print(there.so_far.said)
    cli.made([out, overview.write(study.config.folder, results)])


def said(study: Study, runs: list[Progress]) -> str:
    """How far the training runs of a study are, as the beginning of a sentence."""
    counts = Counter(each.state for each in runs)
    words = [f"{counts[State.DONE]} of {len(runs)} runs trained"]
    for state, word in _WORDS.items():
        if counts[state]:
            words.append(f"{counts[state]} {word}")
        if counts[state] and state == State.RUNNING:
            steps = sorted({each.step for each in runs if each.state == state})
            where = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
            words[-1] += f" at {where} of {study.training.steps}"
    return ", ".join(words)


def _line(study: Study, run: Progress) -> RunLine:
    last = study.training.steps
    return RunLine(
        name=run.run,
        state=run.state,
        step=run.step,
        learned=run.learned,
        curve=" ".join(f"{100 * step / last:.1f},{20 * (1 - rate):.1f}" for step, rate in some_points(run.learned)),
        solve_rate=run.solve_rate,
        entropy=run.entropy,
        tokens_per_second=run.tokens_per_second,
        left=run.left,
        note="; ".join(filter(None, (run.node, run.note))),
    )


def is_finished(study: Study, results: Path) -> bool:
    """Whether all runs of a study are done, none of them anew at this moment, and its tables, figures and page are there."""
    jobs = [job for job in jobs_of(study, str(results)) if job.rule in _SHOWN]
    if not all(Path(output).is_file() for job in jobs for output in job.outputs):
        return False
    return all(run.state == State.DONE for run in runs_of(study, results))
