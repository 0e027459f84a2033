"""``tokencredit status``: what of a study is done, running or failed, with the reason and the log.

A job is done if its outputs exist and Snakemake would not make them again. The state of the others comes from the owners of training runs,
Snakemake's marks of jobs that have started and not ended, and the logs. Nothing is changed, and a running workflow is not disturbed.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tokencredit import cli
from tokencredit.config import Study, load_study
from tokencredit.study.jobs import RULES, Job, jobs_of
from tokencredit.tools import archive
from tokencredit.tools.dry_run import dry_run
from tokencredit.train.lock import Owner, owner_of

SNAKEMAKE = Path(".snakemake")
# Of a log without a line: Snakemake keeps the same records of a job that failed and of one that was touched.
NO_WORD = "its log is empty: it was killed at once, or never ran and was touched (`snakemake --touch`)"
# How the line of a log begins that says why its job failed.
ERROR = re.compile(r"error: |[\w.]+(Error|Exception|Interrupt)\b")
# Snakemake's reason where nothing has changed but what a job reads is to be made again. The files follow, then other reasons.
REMADE = "Input files updated by another job: "


class State(StrEnum):
    """What became of a job."""

    DONE = "done"
    RUNNING = "running"  # a training whose process is there
    STARTED = "started"  # queued or at work, as far as Snakemake's marks say
    STOPPED = "stopped"  # with its workflow, or after a checkpoint: the same command goes on
    FAILED = "failed"
    STORED = "stored"  # a record of a bundle, or made from such: finished, without the model behind it
    OUTDATED = "outdated"  # made, but of something that has changed since
    WAITING = "waiting"  # to be made, for the first time or again


@dataclass(frozen=True)
class Standing:
    """A job with its state. ``note``: how far it is, or why it failed, stopped or is outdated; ``log``: its log, if there is one."""

    unit: Job
    state: State
    note: str = ""
    log: Path | None = None

    def __str__(self) -> str:
        place = f" ({self.log})" if self.log else ""
        return f"{self.state} {self.unit}: {self.note}{place}"


def print_status(study: str) -> None:
    """Print the state of every rule, and of each job that started, runs, stopped or failed."""
    resolved = load_study("config", study)
    pending = {output: job.reason for job in dry_run(study) for output in job.outputs}
    found: list[Standing] = []
    stored: set[str] = set()
    for unit in jobs_of(resolved):
        found.append(standing(resolved, unit, pending.get(unit.outputs[0]), stored))
        stored.update(unit.outputs if found[-1].state == State.STORED else ())
    print(_table(found))
    for state in (State.FAILED, State.STOPPED, State.RUNNING, State.STARTED):
        for each in found:
            if each.state == state:
                print(each)
    if any(each.state == State.STARTED for each in found):
        print(
            "started: queued or at work; if its workflow was killed, `snakemake --unlock` lets the same command go on"
        )
    if stored:
        print(
            "stored: records of a bundle, and what was made from them. They are finished; the models behind them are not here, so that "
            "nothing can be trained or evaluated from them. `snakemake` would make the models, and these again."
        )
    outdated = Counter((each.unit.rule, each.note) for each in found if each.state == State.OUTDATED)
    for (rule, note), count in outdated.items():
        print(f"outdated {rule}, {count}: {note}")
    for each in found:
        if each.state == State.DONE and each.note:
            print(f"done {each.unit}: {each.note}")


def standing(study: Study, unit: Job, reason: str | None, stored: Collection[str] = ()) -> Standing:
    """What became of ``unit``; ``reason``: why Snakemake would run it, None where it would not.

    ``stored``: the files of a bundle, and what was made from them, among those that come before it.
    """
    run, log = Path(unit.outputs[0]).parent, _log(unit)
    owner = owner_of(run) if unit.rule == "train" else None
    if owner:
        return Standing(unit, State.RUNNING, _joined(_how_far(study, _slowest(run, owner)), str(owner)), log)
    if since := _started(unit):
        far = _how_far(study, _newest(run)) if unit.rule == "train" else ""
        if not _locked(unit):
            return Standing(unit, State.STOPPED, _joined(far, "its workflow is no more"), log)
        said = log is not None and changed(log) >= since
        return Standing(unit, State.STARTED, far or (last_word(log) if said else "it has said nothing yet"), log)
    if all(Path(output).exists() for output in unit.outputs):
        # Made since Snakemake was asked.
        if reason is None or reason.startswith("Missing output files"):
            return Standing(unit, State.DONE, invalid(Path(unit.outputs[0])) if unit.rule == "train" else "")
        if _is_stored(unit, reason, stored):
            return Standing(unit, State.STORED)
        return Standing(unit, State.OUTDATED, reason.split(":")[0])
    # What a job took is written when it has ended well: it was made, and its files were deleted.
    if log is None or changed(Path(unit.usage)) >= changed(log):
        return Standing(unit, State.WAITING)
    word = last_word(log)
    stopped = word.startswith("stopped after a checkpoint")
    return Standing(unit, State.STOPPED if stopped else State.FAILED, word, log)


def last_word(log: Path) -> str:
    """The line of a log that says why its job ended: an error, or else its last one."""
    # A progress bar writes over its own line.
    lines = [line.strip() for line in re.split(r"[\r\n]+", _text(log, last=2**16)) if line.strip()]
    errors = [line for line in lines if ERROR.match(line)]
    return next(reversed(errors or lines), NO_WORD)


def invalid(run: Path) -> str:
    """Why a finished run, by its ``run.json``, is invalid; empty where it is sound."""
    record = _read(run)
    return f"invalid: {record['invalid']}" if record and record.get("invalid") else ""


def _how_far(study: Study, beat: dict[str, Any] | None) -> str:
    return f"step {beat['step']} of {study.training.steps}, {beat['phase']} since {beat['time']}" if beat else ""


def _slowest(run: Path, owner: Owner) -> dict[str, Any] | None:
    """The phase of the slowest process of the owner's attempt; earlier attempts may have had more processes."""
    own = [beat for beat in _beats(run) if beat["time"].replace("T", " ") >= owner.since]
    return min(own, key=lambda beat: (beat["step"], beat["time"]), default=None)


def _newest(run: Path) -> dict[str, Any] | None:
    return max(_beats(run), key=lambda beat: beat["time"], default=None)


def _beats(run: Path) -> list[dict[str, Any]]:
    """What the processes of a run wrote last, those of earlier attempts included."""
    return [beat for path in run.glob("work/*/processes/*.json") if (beat := _read(path))]


def _read(path: Path) -> dict[str, Any] | None:
    """None for half a record or none: a process writes it, or takes it away, at this moment."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _log(unit: Job) -> Path | None:
    """The log of the job's stage; where it did not get that far, the newest one of its Slurm jobs."""
    if Path(unit.log).exists():
        return Path(unit.log)
    return max(_slurm_logs(unit), key=changed, default=None)


def _slurm_logs(unit: Job) -> list[Path]:
    """The plugin keeps them by rule and wildcards, which are what the name of a unit's log is made of; those of groups tell their jobs."""
    logs, name = unit.log.removesuffix(".log").split(f"/{unit.rule}/", 1)
    wildcards = re.sub(r"/(seed(?=\d))?|--", "_", name)
    own = Path(logs, "slurm", f"rule_{unit.rule}", wildcards).glob("*.log")
    shared = (path for path in Path(logs, "slurm").glob("group_*/**/*.log") if unit.outputs[0] in _text(path))
    return [*own, *shared]


def _text(path: Path, last: int = 0) -> str:
    """What a file holds, or its ``last`` bytes; nothing of one that is being deleted."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - last) if last else 0)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def changed(path: Path) -> float:
    """When a file was written last; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _started(unit: Job) -> float:
    """When Snakemake marked the job as started and not ended; 0 where it did not."""
    return max(changed(_mark(output)) for output in unit.outputs)


def _is_stored(unit: Job, reason: str, stored: Collection[str]) -> bool:
    """Whether all that is wrong with a result is that what it was made from is not here: it is a bundle's, or all it reads is stored."""
    if not reason.startswith(REMADE) or "; " in reason:
        return False
    unpacked = all(changed(Path(output)) == archive.TIME for output in unit.outputs)
    return unpacked or set(reason.removeprefix(REMADE).split(", ")) <= set(stored)


def _locked(unit: Job) -> bool:
    """Whether a workflow that makes the job's files goes on, or was killed and not unlocked."""
    locks = SNAKEMAKE.joinpath("locks").glob("*.output.lock")
    return any(unit.outputs[0] in _text(path).splitlines() for path in locks)


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


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
