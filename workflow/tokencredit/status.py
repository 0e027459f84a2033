"""``python -m tokencredit.status``: what of a study is done, running or failed, with the reason and the log.

What is done is what Snakemake would not run again. What became of the rest is read off Snakemake's marks of jobs that have started and not
ended, the heartbeats of training processes, and the logs. Nothing is changed, and a workflow that runs at the same time is not disturbed.
"""

from __future__ import annotations

import json
import os
import re
import socket
from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tokencredit import cli
from tokencredit.config import Study, load_study
from tokencredit.dry_run import dry_run
from tokencredit.units import RULES, Unit, units_of

app = cli.new_app("What of a study is done, running or failed.")

SNAKEMAKE = Path(".snakemake")


class State(StrEnum):
    """What became of a job."""

    DONE = "done"
    RUNNING = "running"  # or queued on a cluster
    STOPPED = "stopped"  # with its workflow, or after a checkpoint: the same command goes on
    FAILED = "failed"
    OUTDATED = "outdated"  # made, but of something that has changed since
    WAITING = "waiting"


@dataclass(frozen=True)
class Standing:
    """A job with what became of it; ``note``: how far it is, or why it failed, stopped or is outdated."""

    unit: Unit
    state: State
    note: str = ""


@app.command()
def status(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
    results: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
) -> None:
    """Print the state of every rule, and of each job that runs, stopped or failed."""
    resolved = load_study(config, study)
    pending = {output: job.reason for job in dry_run(study) for output in job.outputs}
    found = [standing(resolved, unit, pending.get(unit.outputs[0])) for unit in units_of(resolved, str(results))]
    print(_table(found))
    for state in (State.FAILED, State.STOPPED, State.RUNNING):
        for each in found:
            if each.state == state:
                print(f"{state} {each.unit}: {each.note} ({each.unit.log})")
    outdated = Counter((each.unit.rule, each.note) for each in found if each.state == State.OUTDATED)
    for (rule, note), count in outdated.items():
        print(f"outdated {rule}, {count}: {note}")
    for each in found:
        if each.state == State.DONE and each.note:
            print(f"done {each.unit}: {each.note}")


def standing(study: Study, unit: Unit, reason: str | None) -> Standing:
    """What became of ``unit``; ``reason``: why Snakemake would run it, None where it would not."""
    if reason is None:
        return Standing(unit, State.DONE, _invalid(unit) if unit.rule == "train" else "")
    log, started = Path(unit.log), [_mark(output) for output in unit.outputs if _mark(output).exists()]
    beat = _heartbeat(Path(unit.outputs[0]).parent) if unit.rule == "train" else None
    how_far = (
        f"step {beat['step']} of {study.training.steps}, {beat['phase']} since {beat['time']} on {beat['host']}"
        if beat
        else ""
    )
    if started:
        if not any(SNAKEMAKE.joinpath("locks").glob("*")) or (beat and _is_gone(beat)):
            return Standing(unit, State.STOPPED, "; ".join(filter(None, [how_far, "its workflow is no more"])))
        since = max(mark.stat().st_mtime for mark in started)
        if not log.exists() or log.stat().st_mtime < since:
            return Standing(unit, State.RUNNING, "started or queued; it has said nothing yet")
        return Standing(unit, State.RUNNING, how_far or last_word(log))
    if all(Path(output).exists() for output in unit.outputs):
        return Standing(unit, State.OUTDATED, reason.split(":")[0])
    if log.exists():
        word = last_word(log)
        stopped = word.startswith("stopped after a checkpoint")
        return Standing(unit, State.STOPPED if stopped else State.FAILED, word)
    return Standing(unit, State.WAITING)


def last_word(log: Path) -> str:
    """The line of a log that says why its job ended: an error, or else its last one."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2**16))
        text = file.read().decode(errors="replace")
    # A progress bar writes over its own line.
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    errors = [line for line in lines if re.match(r"error: |[\w.]+(Error|Exception|Interrupt)\b", line)]
    return next(reversed(errors or lines), "ended without a word")


def _invalid(unit: Unit) -> str:
    reason = json.loads(Path(unit.outputs[0]).read_text(encoding="utf-8")).get("invalid")
    return f"invalid: {reason}" if reason else ""


def _heartbeat(run: Path) -> dict[str, Any] | None:
    """Where the slowest process of a run stands, by what was written last below its folder."""
    files = sorted(run.glob("work/*/processes/*.json"), key=lambda path: path.stat().st_mtime)
    beats = [_read_beat(path) for path in files if path.parent == files[-1].parent]
    return min((beat for beat in beats if beat), key=lambda beat: (beat["step"], beat["time"]), default=None)


def _read_beat(path: Path) -> dict[str, Any] | None:
    """None for half a record: a process is writing it at this moment."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return None


def _is_gone(beat: dict[str, Any]) -> bool:
    """Whether the process ran on this machine and does no more."""
    return beat["host"] == socket.gethostname() and not Path(f"/proc/{beat['pid']}").exists()


def _mark(output: str) -> Path:
    """Where Snakemake marks an output whose job has started and not ended."""
    name = urlsafe_b64encode(output.encode()).decode()
    longest = os.pathconf(SNAKEMAKE, "PC_NAME_MAX") - 1 if SNAKEMAKE.exists() else 254
    parts = [name[start : start + longest] for start in range(0, len(name), longest)]
    return SNAKEMAKE.joinpath("incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1])


def _table(found: list[Standing]) -> str:
    """Jobs by rule and state."""
    counts = Counter((each.unit.rule, each.state) for each in found)
    lines = [["rule", "jobs", *State]]
    for rule in [rule for rule in RULES if any(each.unit.rule == rule for each in found)]:
        numbers = [counts[rule, state] for state in State]
        lines.append([rule, *(f"{number:,}" if number else "·" for number in [sum(numbers), *numbers])])
    return cli.columns(lines)


if __name__ == "__main__":
    cli.run(app)
