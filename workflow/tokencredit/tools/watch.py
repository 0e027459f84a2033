"""``tokencredit watch``: every training run of a study, live from its files, in a terminal.

Files alone are read, so that a login node sees what compute nodes do over a shared file system. Nothing is changed.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tokencredit.config import Study, load_study
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.tools.status import ERROR, State, invalid, last_word
from tokencredit.tools.steps import lines, step_files
from tokencredit.train.lock import owner_of

RECENT = 10  # steps whose mean time tells how long the rest takes
_ORDER = (State.RUNNING, State.STARTED, State.FAILED, State.STOPPED, State.DONE, State.WAITING)
_COLOURS = {
    State.RUNNING: "cyan",
    State.STARTED: "cyan",
    State.FAILED: "red",
    State.STOPPED: "yellow",
    State.DONE: "green",
}


@dataclass(frozen=True)
class Progress:
    """How far a run is: its last step with what that step measured, shares and nats; ``left``: seconds, None where nothing tells.

    ``learned``: the solve rate by step.
    """

    run: str
    state: State
    step: int
    learned: dict[int, float] = field(default_factory=dict)
    solve_rate: float | None = None
    entropy: float | None = None
    tokens_per_second: float | None = None
    left: float | None = None
    node: str = ""
    note: str = ""


def watch(study: str, config: Path, results: Path, every: float, once: bool) -> None:
    """Show the runs of a study, anew ``every`` so many seconds until Ctrl-C or the last run is done; ``once``: print them and end."""
    resolved, console = load_study(config, study), Console()
    if once:
        console.print(table(resolved, runs_of(resolved, results)))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            found = runs_of(resolved, results)
            live.update(table(resolved, found), refresh=True)
            if all(each.state == State.DONE for each in found):
                return
            time.sleep(every)


def runs_of(study: Study, results: Path) -> list[Progress]:
    """Every training run of a study: those at work first, then those that failed, stopped, ended, and that nobody began."""
    paths = Paths(study, results)
    found = [
        _progress(study, row.path, paths.run(row), paths.log("train", f"{study.home}/{row.path}"))
        for row in study.rows
        if row.method
    ]
    return sorted(found, key=lambda each: _ORDER.index(each.state))


def table(study: Study, found: list[Progress]) -> Table:
    """The runs that have begun; those that nobody began are counted below."""
    counts = Counter(each.state for each in found)
    shown = Table(
        title=f"{study.name}: {study.title}",
        caption=", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state]),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    shown.add_column("run", overflow="ellipsis", min_width=12)
    shown.add_column("state", no_wrap=True, min_width=7)
    for name, width in (("step", 5), ("solve rate", 10), ("entropy", 7), ("tokens/s", 8), ("left", 12)):
        shown.add_column(name, justify="right", no_wrap=True, min_width=width)
    shown.add_column("where, or why")
    for each in found:
        if each.state == State.WAITING:
            continue
        shown.add_row(
            each.run,
            f"[{_COLOURS[each.state]}]{each.state}[/]",
            f"{each.step}/{study.training.steps}",
            "" if each.solve_rate is None else f"{100 * each.solve_rate:.0f} %",
            "" if each.entropy is None else f"{each.entropy:.3f}",
            "" if each.tokens_per_second is None else f"{each.tokens_per_second:,.0f}",
            "" if each.left is None else _duration(each.left),
            "; ".join(filter(None, (each.node, each.note))).replace("[", r"\["),
        )
    return shown


def _progress(study: Study, run: str, folder: RunFolder, log: Path) -> Progress:
    begun = step_files(folder)
    metrics, timing = (lines(path) for path in begun) if begun else ([], [])
    last, recent = metrics[-1] if metrics else {}, timing[-RECENT:]
    seconds = [sum(value for key, value in line.items() if key.startswith("seconds_")) for line in recent]
    step = last.get("step", 0)
    state, node, note = _state(folder, log, begun is not None)
    running = state == State.RUNNING and bool(seconds)
    return Progress(
        run,
        state,
        step,
        learned={line["step"]: line["solve_rate"] for line in metrics if line.get("solve_rate") is not None},
        solve_rate=last.get("solve_rate"),
        entropy=last.get("entropy"),
        tokens_per_second=timing[-1].get("tokens_per_second") if timing else None,
        left=(study.training.steps - step) * sum(seconds) / len(seconds) if running else None,
        node=node,
        note=note,
    )


def _state(folder: RunFolder, log: Path, begun: bool) -> tuple[State, str, str]:
    """The state of a run, the machine it is on, and why it is no further."""
    if folder.record.exists():
        return State.DONE, "", invalid(folder.record)
    if owner := owner_of(folder.folder):
        return State.RUNNING, owner.host, ""
    if not (begun or log.exists()):
        return State.WAITING, "", ""
    word = last_word(log) if log.exists() else ""
    if ERROR.match(word):
        return State.FAILED, "", word
    return (State.STOPPED, "", word) if begun else (State.STARTED, "", "")


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
